import type { Kind, State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { Policy } from "./policy.ts";

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
  /** What exactly is looked at, such as an address: what is believed of one is not believed of another. */
  readonly subject: string;
  /** Times of its own schedule are its probe's: all targets of a probe have the same. */
  readonly policy: Policy;
}

/** What was measured, by the names that the probe's kind declares. */
export type Values = Readonly<Record<string, number>>;

/** What one look found. */
export interface Observation {
  readonly state: State;
  /** When up, only what could not be checked. */
  readonly reason?: Reason | undefined;
  /** The error's own words: they leave the site only with HEARTBEAT_DETAIL=text. */
  readonly detail?: string | undefined;
  readonly latencyMs?: number | undefined;
  readonly values?: Values | undefined;
}

/** Looks once. Never rejects, every failure is an observation, and it ends soon after the signal is aborted. */
export type Look = (signal: AbortSignal) => Promise<Observation>;

/**
 * Looks at its targets, one observation for each, in their order. Never rejects, every failure is an observation, and
 * it ends soon after the signal is aborted.
 */
export interface Probe {
  readonly targets: readonly Target[];
  look(signal: AbortSignal): Promise<readonly Observation[]>;
}

/** All reasons that may leave the site, as SECURITY.md lists them: none of them names a host, an address or a user. */
export const REASONS = [
  // Nobody has looked, or the look is not believed yet.
  "not_looked_yet",
  "unconfirmed",
  "not_looked_lately",
  "flapping",
  "parent_down",
  "parent_unconfirmed",
  // The way there.
  "timeout",
  "connection_refused",
  "connection_reset",
  "host_not_found",
  "host_unreachable",
  "connection_failed",
  "tls_failed",
  "certificate_expires_soon",
  "certificate_expired",
  // Whoever answers.
  "login_refused",
  "not_ready",
  "protocol_error",
  "unexpected_status",
  "unexpected_answer",
  "answer_too_large",
  "file_unreadable",
  "probe_failed",
  // The broker and its queues.
  "broker_not_connected",
  "queue_missing",
  "queue_locked",
  "queue_refused",
  "queue_failed",
  "queue_too_deep",
  "queue_too_many_unacknowledged",
  "queue_stalled",
  "queue_is_stream",
  "progress_unknown",
  "dead_letters",
  "consumer_missing",
  "consumer_inactive",
  "list_empty_after_connect",
  "tag_unchecked",
  "management_unreachable",
  "management_refused",
  "management_failed",
  "monitoring_tag_missing",
  "plugin_missing",
  "statistics_disabled",
  "link_missing",
  "link_not_running",
  "memory_alarm",
  "disk_alarm",
  "alarm",
  "quorum_critical",
  // The machine.
  "disk_low",
  "path_missing",
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
