import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import v8 from "node:v8";
import { connectBroker } from "@pipeline-heartbeat/shared/broker.ts";
import { encodeHeartbeat } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { runService } from "@pipeline-heartbeat/shared/service.ts";
import { type Beats, startBeats } from "./beat.ts";
import { composeHeartbeat } from "./compose.ts";
import { readConfig } from "./config.ts";
import { consumersProbe } from "./probes/consumers.ts";
import { management } from "./probes/management.ts";
import { tcpProbe } from "./probes/tcp.ts";
import { startWatch } from "./watch.ts";

const MESSAGE_EXPIRATION_MS = 7 * 24 * 60 * 60 * 1000;

// Most of the time there is nothing to do: without this the heap grows for a speed that nobody needs.
v8.setFlagsFromString("--optimize-for-size");

const { env } = process;

await runService({ name: "publisher", logLevel: env["LOG_LEVEL"] }, async ({ log, stopping, onStop }) => {
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
  onStop(() => broker.close());

  const api = management(config.management);
  onStop(() => api.close());

  const { hosts, queues } = config.targets;
  const watch = startWatch(
    {
      probes: [
        ...hosts.map(tcpProbe),
        ...(queues.length > 0
          ? [
              consumersProbe({
                queues,
                management: api,
                brokerConnectedAtMs: () => broker.connectedAtMs,
                now: Date.now,
              }),
            ]
          : []),
      ],
      intervalMs: config.probeIntervalMs,
      timeoutMs: config.probeTimeoutMs,
      concurrency: config.probeConcurrency,
      now: Date.now,
      sleep: (ms, signal) => sleep(ms, undefined, { signal }),
      log,
      onChange: () => config.publishOnChange && beats?.changed(),
    },
    stopping,
  );
  log.info({ hosts: hosts.length, queues: queues.length, site: config.site }, "watching");

  const boot = {
    site: config.site,
    bootId: randomUUID(),
    startedAtMs: Date.now(),
    intervalMs: config.publishIntervalMs,
    detail: config.detail,
  };
  let sequence = 0;
  async function send(cause: "interval" | "change"): Promise<void> {
    sequence += 1;
    const sentAtMs = Date.now();
    const beat = { sequence, sentAtMs, uptimeMs: performance.now(), cause };
    const body = encodeHeartbeat(composeHeartbeat(boot, beat, watch.targets()), config.format);
    log.debug({ sequence, cause, bytes: body.length }, "publishing heartbeat");
    await broker.publish(body, {
      messageId: `${boot.bootId}/${sequence}`,
      timestampMs: sentAtMs,
      expirationMs: MESSAGE_EXPIRATION_MS,
    });
  }

  await watch.firstLook;
  const canSend = () => broker.connectedAtMs !== undefined;
  beats = startBeats({ intervalMs: config.publishIntervalMs, canSend, send, log }, stopping);
  await once(stopping, "abort");
});
