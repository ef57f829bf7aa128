import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { connectBroker } from "@pipeline-heartbeat/shared/broker.ts";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import { runService, type Service } from "@pipeline-heartbeat/shared/service.ts";
import { type Beats, startBeats } from "./beat.ts";
import { readConfig } from "./config.ts";
import { type Delivery, startDelivery } from "./delivery.ts";
import { metricsBody } from "./http/metrics.ts";
import { serveHttp } from "./http/server.ts";
import { heartbeatMessages } from "./messages.ts";
import { outbox } from "./outbox.ts";
import { unreadyReasons } from "./readiness.ts";
import { configReload } from "./reload.ts";
import { longestTimeoutMs } from "./watch.ts";
import { watchTargets } from "./watch-targets.ts";

/** For the goodbye and what was kept; with the time that closing may take, well below the deadline of a stop. */
const GOODBYE_MS = 1_500;
/** However long a look may take, the first heartbeat does not wait longer for the first look at everything. */
const FIRST_LOOK_MS = 30_000;
/** Packed, these are 1,440 heartbeats of about a thousand components. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024;

/** Runs the service until a signal. */
export async function runPublisher(env: Env, version: string): Promise<void> {
  await runService({ name: "publisher", logLevel: env["LOG_LEVEL"] }, (service) =>
    publish(env, version, service),
  );
}

async function publish(env: Env, version: string, { log, stopping, onStop }: Service): Promise<void> {
  const config = readConfig(env);
  for (const warning of config.warnings) log.warn({ warning }, "configuration warning");

  let beats: Beats | undefined;
  let delivery: Delivery | undefined;
  const broker = connectBroker({
    settings: config.broker,
    topology: config.topology,
    connectionName: `pipeline-heartbeat publisher ${config.site}`,
    log,
    open: async () => delivery?.resume(),
    onUnblocked: () => delivery?.resume(),
  });
  const isConnected = () => broker.connectedAtMs !== undefined;
  onStop(() => broker.close());
  // Tells why there is silence from now on. Who has not begun to speak has nothing to end; format 1 knows no such word.
  onStop(() => config.format === 2 && delivery?.goodbye(GOODBYE_MS));

  const onChange = () => config.publishOnChange && beats?.changed();
  const watch = watchTargets(config, { broker, log, onChange, onStop }, stopping);
  log.info({ components: watch.targets().length, site: config.site }, "watching");

  const reload = configReload({
    path: config.targetsPath,
    text: config.targetsText,
    targets: config.targets,
    base: config.basePolicy,
    replace: watch.replace,
    log,
  });

  let confirmedAtMs: number | undefined;
  if (config.http) {
    const server = serveHttp({ ...config.http, log, unreadyReasons: reasons, metrics });
    onStop(() => server.close());
  }

  // What has not been looked at by then is told as such; a long silence after a restart would say less.
  const longestMs = Math.min(longestTimeoutMs(watch.targets()), FIRST_LOOK_MS);
  await Promise.race([watch.firstLook, sleep(longestMs, undefined, { ref: false })]);
  const { due } = (delivery = startDelivery({
    messages: heartbeatMessages({ ...config, targets: watch.targets }),
    outbox: outbox(config.bufferHeartbeats, MAX_KEPT_BYTES),
    canSend: () => isConnected() && broker.blockedBecause === undefined,
    publish: ({ body, properties }) => broker.publish(body, properties),
    onConfirmed: () => (confirmedAtMs = performance.now()),
    log,
  }));
  beats = startBeats({ intervalMs: config.publishIntervalMs, onDue: due, log }, stopping);
  reload.follow(stopping);
  await once(stopping, "abort");

  function metrics(): string {
    return metricsBody({
      version,
      isBrokerConnected: isConnected(),
      isConfigInForce: reload.isInForce,
      configLoadedAtMs: reload.loadedAtMs,
    });
  }

  function reasons(): string[] {
    return unreadyReasons({
      isConnected: isConnected(),
      blockedBecause: broker.blockedBecause,
      confirmedAgoMs: confirmedAtMs === undefined ? undefined : performance.now() - confirmedAtMs,
      intervalMs: config.publishIntervalMs,
    });
  }
}
