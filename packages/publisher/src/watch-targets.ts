import { setTimeout as sleep } from "node:timers/promises";
import { brokerRestart, isOfRestart } from "./broker-restart.ts";
import type { Config } from "./config.ts";
import { asksBroker, targetProbes, type TargetProbesOptions } from "./target-probes.ts";
import type { Targets } from "./targets.ts";
import { startWatch, type WatchedTarget } from "./watch.ts";

/** How soon a lost connection to the broker, or another one, is seen. */
const FOLLOW_EVERY_MS = 500;

export interface WatchTargetsOptions extends TargetProbesOptions {
  readonly onChange: () => void;
}

export interface TargetsWatch {
  targets(): WatchedTarget[];
  /** Resolves when everything has been looked at once. */
  readonly firstLook: Promise<void>;
  /**
   * Looks at what another file names; what stays the same goes on as it is. Resolves when each has been looked at once;
   * throws, and leaves all as it is, when there is no probe for one of them.
   */
  replace(targets: Targets): Promise<void>;
}

/** Starts looking at all that the configuration names. */
export function watchTargets(
  config: Config,
  options: WatchTargetsOptions,
  stopping: AbortSignal,
): TargetsWatch {
  const { broker, log, onChange } = options;
  const probes = targetProbes(config, options, stopping);
  const restart = brokerRestart();
  const isRestarted = () => broker !== undefined && restart(broker.connectedAtMs, performance.now());
  // By and by, because some looks are hours apart.
  const following = setInterval(isRestarted, FOLLOW_EVERY_MS).unref();
  stopping.addEventListener("abort", () => clearInterval(following));
  const watch = startWatch(
    {
      concurrency: config.probeConcurrency,
      now: () => ({ wallMs: Date.now(), monotonicMs: performance.now() }),
      random: Math.random,
      sleep: (ms, signal) => sleep(ms, undefined, { signal }),
      isExcused: (probe, failure) => asksBroker(probe) && isOfRestart(failure) && isRestarted(),
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
