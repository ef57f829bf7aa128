import type { Observation } from "../src/probe.ts";

/** Such as `up` and `down consumer_missing`. */
export function inBrief({ state, reason }: Observation): string {
  return reason ? `${state} ${reason}` : state;
}

export function inWords(observations: readonly Observation[]): string[] {
  return observations.map(inBrief);
}
