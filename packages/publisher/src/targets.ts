import type { Kind } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { ComponentName } from "./policy.ts";
import type { PolicyOptions } from "./policy-options.ts";
import type { TagPattern } from "./tag-pattern.ts";

/** What publisher_config.json asks to be watched. */
export interface Targets {
  /** For all that says nothing else. */
  readonly defaults: PolicyOptions;
  readonly queues: readonly QueueEntry[];
  /** Its hosts first. */
  readonly components: readonly ComponentEntry[];
}

/** One of `rmq_consumers`. */
export interface QueueEntry {
  readonly queue: string;
  readonly policy: PolicyOptions;
  readonly dependsOn: readonly ComponentName[];
  readonly listeners: readonly ListenerEntry[];
}

interface ListenerEntry {
  readonly name: string;
  /** A Python regular expression, and what it says of a consumer's tag. */
  readonly tag: string;
  readonly matches: TagPattern;
  /** So many consumers at least. */
  readonly min: number;
  readonly policy: PolicyOptions;
  readonly dependsOn: readonly ComponentName[];
}

/** One of `components`, or of `hosts`, which are of the kind `tcp`. */
export interface ComponentEntry {
  readonly section: "hosts" | "queues" | "services";
  readonly kind: Kind;
  readonly name: string;
  /** The name of its kind of probe. */
  readonly probe: string;
  /** The kind's own, parsed. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly policy: PolicyOptions;
  readonly dependsOn: readonly ComponentName[];
}
