import type { Observation } from "../probe.ts";
import type { QueueConsumer } from "./management-answers.ts";

/** `waiting` is the stand-by of a single active consumer: attached, too. */
const ATTACHED: ReadonlySet<string> = new Set(["up", "single_active", "waiting"]);

export function attachedAmong(consumers: readonly QueueConsumer[]): number {
  return consumers.filter(({ activity }) => ATTACHED.has(activity)).length;
}

/** Of consumers with the right tag, at least `min` should be attached; one that is inactive may be or not. */
export function judgeMatching(matching: readonly QueueConsumer[], min: number): Observation {
  const attached = attachedAmong(matching);
  if (attached >= min) return { state: "up" };
  const detail = `consumers attached: ${attached}, expected: ${min}`;
  return matching.length >= min
    ? { state: "unknown", reason: "consumer_inactive", detail }
    : { state: "down", reason: "consumer_missing", detail };
}
