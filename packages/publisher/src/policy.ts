import type { Kind } from "@pipeline-heartbeat/shared/heartbeat.ts";

/** Of the last looks, how many changes between success and failure are too many, and how few are calm again. */
export interface Flapping {
  readonly changes: number;
  readonly looks: number;
  /** Less than `changes`: what hovers around one limit would else go in and out all the time. */
  readonly calm: number;
}

export interface ComponentName {
  readonly kind: Kind;
  readonly name: string;
}

/** When a component is looked at, and what it takes for a look to be believed. */
export interface Policy {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Over so much of its interval the second look is spread, so that not all look at the same time. */
  readonly splayMs: number;
  /**
   * So many looks in a row must fail, each of them at least the pause after the one before that counted. The pause is
   * waited for instead of the interval where it is shorter.
   */
  readonly confirm: { readonly looks: number; readonly pauseMs: number };
  /** So many looks in a row must succeed after a failure that was believed. */
  readonly recover: { readonly looks: number };
  /** Undefined: changes are not counted. */
  readonly flapping: Flapping | undefined;
  /** `warn`: it does not make its site unhealthy. */
  readonly severity: "fail" | "warn";
  /** While one of these is down, nothing is known of this one. */
  readonly dependsOn: readonly ComponentName[];
}

/** A restarted service listens again within a second, so that its restart is no alarm. */
export const PAUSE_MS = 1_000;
/** RabbitMQ's statistics lag by up to 5 s: a second look before that would see the same. */
export const STATISTICS_LAG_MS = 6_000;
/** A worker that was deployed anew is back after some seconds, and seen so long after. */
export const REDEPLOYMENT_MS = 9_000;
/** Who looks more often than that wants to know sooner: so much before the next interval. */
export const BEFORE_NEXT_MS = 1_000;
