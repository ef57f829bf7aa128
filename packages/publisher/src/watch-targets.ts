import { setTimeout as sleep } from "node:timers/promises";
import type { Broker } from "@pipeline-heartbeat/shared/broker.ts";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { consumersProbe } from "./probes/consumers.ts";
import { management } from "./probes/management.ts";
import { tcpProbe } from "./probes/tcp.ts";
import { startWatch, type Watch } from "./watch.ts";

export interface WatchTargetsOptions {
  /** Our own connection, for what only it can tell; undefined where there is none. */
  readonly broker: Pick<Broker, "connectedAtMs" | "openChannel"> | undefined;
  readonly log: Logger;
  readonly onChange: () => void;
  readonly onStop: (release: () => void) => void;
}

/** Starts looking at all that the configuration names. */
export function watchTargets(config: Config, options: WatchTargetsOptions, stopping: AbortSignal): Watch {
  const { broker, log, onChange, onStop } = options;
  const { hosts, queues } = config.targets;
  const api = management(config.management);
  onStop(() => api.close());
  const consumers = consumersProbe({
    queues,
    source: config.consumerSource,
    management: api,
    openChannel: async () => {
      if (!broker) throw new Error("there is no connection to the broker here");
      return await broker.openChannel();
    },
    patienceMs: config.probeTimeoutMs / 2,
    brokerConnectedAtMs: () => broker?.connectedAtMs,
    now: Date.now,
    stopping,
    log,
  });
  return startWatch(
    {
      probes: [...hosts.map(tcpProbe), ...(queues.length > 0 ? [consumers] : [])],
      intervalMs: config.probeIntervalMs,
      timeoutMs: config.probeTimeoutMs,
      concurrency: config.probeConcurrency,
      now: Date.now,
      sleep: (ms, signal) => sleep(ms, undefined, { signal }),
      log,
      onChange,
    },
    stopping,
  );
}
