import type { Kind, State } from "@pipeline-heartbeat/shared/heartbeat.ts";

/**
 * One thing that is looked at. A worker that listens on four queues is four of them, each with its queue: format 1 tells
 * them apart, format 2 sends the worst of the four.
 */
export interface Target {
  readonly kind: Kind;
  readonly name: string;
  /** Where it stands in format 1. */
  readonly section: "hosts" | "queues" | "services";
  /** Which probe looks at it. */
  readonly probe: string;
}

/** What one look found. */
export interface Observation {
  readonly state: State;
  /** When up, only what could not be checked. */
  readonly reason?: Reason | undefined;
  /** The error's own words: they leave the site only with HEARTBEAT_DETAIL=text. */
  readonly detail?: string | undefined;
  readonly latencyMs?: number | undefined;
}

/**
 * Looks at its targets, one observation for each, in their order. Never rejects, every failure is an observation, and
 * it ends soon after the signal is aborted.
 */
export interface Probe {
  readonly targets: readonly Target[];
  /** When a failure is looked at for the second time, which is when it is believed; undefined: at the next interval. */
  readonly confirmAfterMs: number | undefined;
  look(signal: AbortSignal): Promise<readonly Observation[]>;
}

/** All reasons that may leave the site, as SECURITY.md lists them: none of them names a host, an address or a user. */
export const REASONS = [
  "not_looked_yet",
  "unconfirmed",
  "not_looked_lately",
  "timeout",
  "connection_refused",
  "connection_reset",
  "host_not_found",
  "host_unreachable",
  "connection_failed",
  "broker_not_connected",
  "queue_missing",
  "queue_locked",
  "queue_refused",
  "queue_failed",
  "consumer_missing",
  "consumer_inactive",
  "list_empty_after_connect",
  "tag_unchecked",
  "management_unreachable",
  "tls_failed",
  "management_refused",
  "management_failed",
  "statistics_disabled",
] as const;

export type Reason = (typeof REASONS)[number];

const REASON_OF_CODE: Readonly<Record<string, Reason>> = {
  ECONNREFUSED: "connection_refused",
  ECONNRESET: "connection_reset",
  ENOTFOUND: "host_not_found",
  EAI_AGAIN: "host_not_found",
  EHOSTUNREACH: "host_unreachable",
  ENETUNREACH: "host_unreachable",
  ETIMEDOUT: "timeout",
};

/** The reason for a system error's code. */
export function connectionReason(code: string | undefined): Reason {
  return (code !== undefined && REASON_OF_CODE[code]) || "connection_failed";
}
