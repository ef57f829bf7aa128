import type { BrokerSettings } from "@pipeline-heartbeat/shared/broker-config.ts";
import type { Broker } from "@pipeline-heartbeat/shared/broker.ts";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { kindOf } from "./parse-file.ts";
import type { Surroundings } from "./probe-kind.ts";
import type { Look, Probe } from "./probe.ts";
import { probesOf } from "./probes-of.ts";
import { consumersProbe } from "./probes/consumers.ts";
import { currentManagement, type Management, management } from "./probes/management.ts";
import { passiveCounts } from "./probes/passive.ts";
import type { QueueTarget } from "./probes/queue-target.ts";
import type { ComponentEntry, Targets } from "./targets.ts";

export interface TargetProbesOptions {
  /** Our own connection, for what only it can tell; undefined where there is none. */
  readonly broker: Pick<Broker, "connectedAtMs" | "address" | "openChannel"> | undefined;
  readonly log: Logger;
  readonly onStop: (release: () => void) => void;
}

/** Makes the probes of a file. What those of one file remember goes on in those of the next where nothing has changed. */
export function targetProbes(
  config: Config,
  { broker, log, onStop }: TargetProbesOptions,
  stopping: AbortSignal,
): (targets: Targets) => Probe[] {
  const apis = managementAt(config);
  onStop(() => apis.close());
  const address = () => broker?.address ?? config.broker[0];
  const api = currentManagement(() => apis.of(address()));
  const brokerConnectedAtMs = () => broker?.connectedAtMs;

  const surroundings: Surroundings = {
    management: api,
    brokerConnectedAtMs,
    broker: config.broker[0],
    now: Date.now,
    log,
  };

  // One for all, however often the file changes: it keeps a broker that does not answer from filling the connection.
  const count = passiveCounts(async () => {
    if (!broker) throw new Error("there is no connection to the broker here");
    return await broker.openChannel();
  });

  /** What a look remembers, such as how long a queue has stood still, outlives a new file that leaves it as it is. */
  let known: ReadonlyMap<string, Look> = new Map();

  function lookAtConsumers(queues: readonly QueueTarget[], allQueues: readonly QueueTarget[]): Probe {
    const timeoutMs = queues[0]?.policy.timeoutMs ?? config.basePolicy.timeoutMs;
    return consumersProbe({
      queues,
      allQueues,
      source: config.consumerSource,
      management: api,
      isManagementOfOurBroker: config.isManagementOfOurBroker,
      count,
      patienceMs: timeoutMs / 2,
      brokerConnectedAtMs,
      now: Date.now,
      stopping,
      log,
    });
  }

  return (targets) => {
    const looks = new Map<string, Look>();
    const look = ({ kind, name, probe, options }: ComponentEntry): Look => {
      const key = JSON.stringify([kind, name, probe, options]);
      const started = known.get(key) ?? kindOf(probe).start(options, surroundings);
      looks.set(key, started);
      return started;
    };
    const probes = probesOf(targets, { base: config.basePolicy, look, lookAtConsumers });
    known = looks;
    return probes;
  };
}

export function asksBroker({ targets }: Probe): boolean {
  return targets.some(({ probe }) => probe === "consumers" || kindOf(probe).asks === "broker");
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
