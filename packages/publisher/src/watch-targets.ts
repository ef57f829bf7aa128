import { setTimeout as sleep } from "node:timers/promises";
import type { BrokerSettings } from "@pipeline-heartbeat/shared/broker-config.ts";
import type { Broker } from "@pipeline-heartbeat/shared/broker.ts";
import type { Logger } from "pino";
import { brokerRestart } from "./broker-restart.ts";
import type { Config } from "./config.ts";
import { kindOf } from "./parse-file.ts";
import type { Surroundings } from "./probe-kind.ts";
import type { Look, Probe } from "./probe.ts";
import { probesOf } from "./probes-of.ts";
import { consumersProbe } from "./probes/consumers.ts";
import { currentManagement, type Management, management } from "./probes/management.ts";
import type { QueueTarget } from "./probes/queue-target.ts";
import type { ComponentEntry, Targets } from "./targets.ts";
import { startWatch, type WatchedTarget } from "./watch.ts";

export interface WatchTargetsOptions {
  /** Our own connection, for what only it can tell; undefined where there is none. */
  readonly broker: Pick<Broker, "connectedAtMs" | "address" | "openChannel"> | undefined;
  readonly log: Logger;
  readonly onChange: () => void;
  readonly onStop: (release: () => void) => void;
}

export interface TargetsWatch {
  targets(): WatchedTarget[];
  /** Resolves when everything has been looked at once. */
  readonly firstLook: Promise<void>;
  /** Looks at what another file names; what stays the same goes on as it is. */
  replace(targets: Targets): Promise<void>;
}

/** Starts looking at all that the configuration names. */
export function watchTargets(
  config: Config,
  { broker, log, onChange, onStop }: WatchTargetsOptions,
  stopping: AbortSignal,
): TargetsWatch {
  const apis = managementAt(config);
  onStop(() => apis.close());
  const address = () => broker?.address ?? config.broker[0];
  const api = currentManagement(() => apis.of(address()));
  const connectedAtMs = () => broker?.connectedAtMs;
  const isRestarted = brokerRestart();

  const surroundings: Surroundings = {
    management: api,
    brokerConnectedAtMs: connectedAtMs,
    broker: config.broker[0],
    now: Date.now,
    log,
  };

  /** What a look remembers, such as how long a queue has stood still, outlives a new file that leaves it as it is. */
  let looks = new Map<string, Look>();

  function probes(targets: Targets): Probe[] {
    const known = looks;
    looks = new Map();
    return probesOf(targets, { base: config.basePolicy, look, lookAtConsumers });

    function look({ kind, name, probe, options }: ComponentEntry): Look {
      const key = JSON.stringify([kind, name, probe, options]);
      const started = known.get(key) ?? kindOf(probe).start(options, surroundings);
      looks.set(key, started);
      return started;
    }
  }

  function lookAtConsumers(queues: readonly QueueTarget[]): Probe {
    const timeoutMs = queues[0]?.policy.timeoutMs ?? config.basePolicy.timeoutMs;
    return consumersProbe({
      queues,
      source: config.consumerSource,
      management: api,
      isManagementOfOurBroker: config.isManagementOfOurBroker,
      openChannel: async () => {
        if (!broker) throw new Error("there is no connection to the broker here");
        return await broker.openChannel();
      },
      patienceMs: timeoutMs / 2,
      brokerConnectedAtMs: connectedAtMs,
      now: Date.now,
      stopping,
      log,
    });
  }

  const watch = startWatch(
    {
      concurrency: config.probeConcurrency,
      now: () => ({ wallMs: Date.now(), monotonicMs: performance.now() }),
      random: Math.random,
      sleep: (ms, signal) => sleep(ms, undefined, { signal }),
      isExcused: (probe) =>
        asksBroker(probe) && broker !== undefined && isRestarted(connectedAtMs(), performance.now()),
      log,
      onChange,
    },
    stopping,
  );
  const firstLook = watch.replace(probes(config.targets));
  return {
    targets: watch.targets,
    firstLook,
    replace: (targets) => watch.replace(probes(targets)),
  };
}

function asksBroker({ targets }: Probe): boolean {
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
