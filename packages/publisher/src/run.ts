import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { connectBroker } from "@pipeline-heartbeat/shared/broker.ts";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import type { Cause } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { runService, type Service } from "@pipeline-heartbeat/shared/service.ts";
import { type Beats, startBeats } from "./beat.ts";
import { readConfig } from "./config.ts";
import { serveHttp } from "./http/server.ts";
import { heartbeatMessages } from "./messages.ts";
import { unreadyReasons } from "./readiness.ts";
import { watchTargets } from "./watch-targets.ts";

/** With the time that closing the connection may take, well below the deadline of a stop. */
const GOODBYE_TIMEOUT_MS = 1_500;

/** How long the first heartbeat waits for the first look at everything: so many time-outs, and no longer than this. */
const FIRST_LOOK_TIMEOUTS = 2;
const FIRST_LOOK_MS = 30_000;

/** Runs the service until a signal. */
export async function runPublisher(env: Env): Promise<void> {
  await runService({ name: "publisher", logLevel: env["LOG_LEVEL"] }, (service) => publish(env, service));
}

async function publish(env: Env, { log, stopping, onStop }: Service): Promise<void> {
  const config = readConfig(env);
  for (const warning of config.warnings) log.warn({ warning }, "configuration warning");

  let beats: Beats | undefined;
  const broker = connectBroker({
    settings: config.broker,
    topology: config.topology,
    connectionName: `pipeline-heartbeat publisher ${config.site}`,
    log,
    open: async () => beats?.connected(),
  });
  const isConnected = () => broker.connectedAtMs !== undefined;
  onStop(() => broker.close());
  onStop(sayGoodbye);

  const onChange = () => config.publishOnChange && beats?.changed();
  const watch = watchTargets(config, { broker, log, onChange, onStop }, stopping);
  const { hosts, queues } = config.targets;
  log.info({ hosts: hosts.length, queues: queues.length, site: config.site }, "watching");

  let confirmedAtMs: number | undefined;
  if (config.http) {
    const server = serveHttp({ ...config.http, log, unreadyReasons: reasons });
    onStop(() => server.close());
  }

  const nextMessage = heartbeatMessages({ ...config, targets: watch.targets });
  async function send(cause: Cause): Promise<void> {
    const { sequence, body, properties } = nextMessage(cause);
    log.debug({ sequence, cause, bytes: body.length }, "publishing heartbeat");
    await broker.publish(body, properties);
    confirmedAtMs = performance.now();
  }

  // What has not been looked at by then is told as such; a long silence after a restart would say less.
  const longestMs = Math.min(FIRST_LOOK_TIMEOUTS * config.probeTimeoutMs, FIRST_LOOK_MS);
  await Promise.race([watch.firstLook, sleep(longestMs, undefined, { ref: false })]);
  beats = startBeats({ intervalMs: config.publishIntervalMs, canSend: isConnected, send, log }, stopping);
  await once(stopping, "abort");

  /** Tells why there is silence from now on. Who has not begun to speak has nothing to end; format 1 knows no such word. */
  async function sayGoodbye(): Promise<void> {
    if (!beats || !isConnected() || config.format === 1) return;
    const cause = await Promise.race([
      send("goodbye").then(() => undefined, errorText),
      sleep(GOODBYE_TIMEOUT_MS, "no confirm in time"),
    ]);
    if (cause !== undefined) log.warn({ cause }, "goodbye was not confirmed");
  }

  function reasons(): string[] {
    return unreadyReasons({
      isConnected: isConnected(),
      confirmedAgoMs: confirmedAtMs === undefined ? undefined : performance.now() - confirmedAtMs,
      intervalMs: config.publishIntervalMs,
    });
  }
}
