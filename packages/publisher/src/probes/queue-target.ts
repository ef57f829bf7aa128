import type { Observation, Target } from "../probe.ts";
import type { TagPattern } from "../tag-pattern.ts";

/** A queue of publisher_config.json and the consumers that should be attached to it. */
export interface QueueTarget {
  readonly queue: string;
  readonly listeners: readonly Listener[];
}

export interface Listener {
  readonly name: string;
  readonly matches: TagPattern;
}

/** The queue, and then each of its listeners. */
export function targetsOf({ queue, listeners }: QueueTarget): Target[] {
  return [
    { kind: "queue", name: queue, section: "queues", probe: "consumers" },
    ...listeners.map(({ name }): Target => ({
      kind: "service",
      name,
      section: "services",
      probe: "consumers",
    })),
  ];
}

/** The same for the queue and for each of its listeners. */
export function allAre(target: QueueTarget, observation: Observation): Observation[] {
  return targetsOf(target).map(() => observation);
}
