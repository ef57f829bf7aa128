import type { Policy } from "../policy.ts";
import type { Observation, Target } from "../probe.ts";
import type { TagPattern } from "../tag-pattern.ts";

/** A queue of publisher_config.json and the consumers that should be attached to it. */
export interface QueueTarget {
  readonly queue: string;
  readonly policy: Policy;
  readonly listeners: readonly Listener[];
}

export interface Listener {
  readonly name: string;
  /** The pattern as it was written. */
  readonly tag: string;
  readonly matches: TagPattern;
  /** So many consumers at least. */
  readonly min: number;
  readonly policy: Policy;
}

/** The queue, and then each of its listeners. */
export function targetsOf({ queue, policy, listeners }: QueueTarget): Target[] {
  const needs = listeners.map(({ tag, min }) => [tag, min]);
  return [
    {
      kind: "queue",
      name: queue,
      section: "queues",
      probe: "consumers",
      subject: JSON.stringify([queue, ...needs]),
      policy,
    },
    ...listeners.map(({ name, tag, min, policy }): Target => ({
      kind: "service",
      name,
      section: "services",
      probe: "consumers",
      subject: JSON.stringify([queue, tag, min]),
      policy,
    })),
  ];
}

/** The same for the queue and for each of its listeners. */
export function allAre(target: QueueTarget, observation: Observation): Observation[] {
  return Array.from({ length: 1 + target.listeners.length }, () => observation);
}
