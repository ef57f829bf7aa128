import type { QueueConsumer } from "../src/probes/management-answers.ts";
import type { Listener, QueueTarget } from "../src/probes/queue-target.ts";
import { POLICY } from "./watched.ts";

/** A queue and who should listen to it. */
export function queueTarget(queue: string, listeners: readonly Listener[]): QueueTarget {
  return { queue, policy: POLICY, listeners };
}

/** A listener whose tag has this in it. */
export function listener(name: string, tag: string, min = 1): Listener {
  return { name, tag, matches: (found) => found.includes(tag), min, policy: POLICY };
}

export const ingest = queueTarget("ingest", [listener("sda-ingest", "ingest")]);
export const pair = queueTarget("pair", [listener("a", "a"), listener("b", "b")]);
export const bare = queueTarget("bare", []);

export function attached(tag: string, activity = "up", queue = "ingest"): QueueConsumer {
  return { queue, tag, activity };
}
