import { setTimeout as sleep } from "node:timers/promises";
import type { BrokerSettings } from "@pipeline-heartbeat/shared/broker-config.ts";
import type { Broker } from "@pipeline-heartbeat/shared/broker.ts";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { consumersProbe } from "./probes/consumers.ts";
import { currentManagement, type Management, management } from "./probes/management.ts";
import { tcpProbe } from "./probes/tcp.ts";
import { startWatch, type Watch } from "./watch.ts";

export interface WatchTargetsOptions {
  /** Our own connection, for what only it can tell; undefined where there is none. */
  readonly broker: Pick<Broker, "connectedAtMs" | "address" | "openChannel"> | undefined;
  readonly log: Logger;
  readonly onChange: () => void;
  readonly onStop: (release: () => void) => void;
}

/** Starts looking at all that the configuration names. */
export function watchTargets(config: Config, options: WatchTargetsOptions, stopping: AbortSignal): Watch {
  const { broker, log, onChange, onStop } = options;
  const { hosts, queues } = config.targets;
  const apis = managementAt(config);
  onStop(() => apis.close());
  const consumers = consumersProbe({
    queues,
    source: config.consumerSource,
    management: currentManagement(() => apis.of(broker?.address ?? config.broker[0])),
    isManagementOfOurBroker: config.isManagementOfOurBroker,
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

/** The management API that belongs to each of the broker's addresses; those that are never used cost nothing. */
function managementAt(config: Config) {
  const apis = new Map<string, Management>();
  return {
    of(address: BrokerSettings): Management {
      const settings = config.management(address);
      const api = apis.get(settings.url) ?? management(settings);
      apis.set(settings.url, api);
      return api;
    },
    close() {
      for (const api of apis.values()) api.close();
    },
  };
}
