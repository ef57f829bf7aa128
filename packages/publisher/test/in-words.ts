import type { Observation } from "../src/probe.ts";

/** Such as `up` and `down consumer_missing`. */
export function inWords(observations: readonly Observation[]): string[] {
  return observations.map(({ state, reason }) => (reason ? `${state} ${reason}` : state));
}
