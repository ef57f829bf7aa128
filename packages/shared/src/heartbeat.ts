import type { V2Part } from "./message-schema.ts";
import { formatUpstreamTimestamp } from "./timestamp.ts";
import { sendableValues, type Values } from "./values.ts";

/** What the pipeline consists of: services (hosts, workers) and queues. A name is unique within its kind. */
export type Kind = "service" | "queue";

/** `unknown`: the probe itself could not look. */
export type State = "up" | "down" | "unknown";

/** Why a heartbeat was sent: at the interval, at a change of state, at an orderly stop, or late out of a buffer. */
export type Cause = "interval" | "change" | "goodbye" | "backfill";

/** One component as the publisher saw it. Times are unix milliseconds of the publisher's wall clock. */
export interface ComponentReport {
  readonly kind: Kind;
  readonly name: string;
  readonly state: State;
  /** Which probe looked; absent in format 1. */
  readonly probe?: string | undefined;
  /** A code from a fixed list, absent when up. */
  readonly reason?: string | undefined;
  /** The error's own words, sent only with HEARTBEAT_DETAIL=text. */
  readonly detail?: string | undefined;
  readonly sinceMs?: number | undefined;
  readonly observedAtMs: number;
  readonly latencyMs?: number | undefined;
  readonly values?: Values | undefined;
  /** Absent for `fail`; `warn` must not turn /health red. */
  readonly severity?: "warn" | undefined;
  /**
   * `<kind>:<name>` of another component of the site, which this one depends on: it is unknown because that one is down, or
   * is just being looked at again.
   */
  readonly because?: string | undefined;
}

/** One line of the format-1 part. A service that listens on four queues has four. */
export interface UpstreamEntry {
  readonly name: string;
  readonly state: State;
  readonly observedAtMs: number;
}

/** A heartbeat as it leaves the publisher. */
export interface Heartbeat {
  readonly site: string;
  readonly bootId: string;
  /** Counts from 1 within the boot. */
  readonly sequence: number;
  readonly startedAtMs: number;
  readonly sentAtMs: number;
  /** The publisher's monotonic clock. */
  readonly uptimeMs: number;
  readonly intervalMs: number;
  readonly cause: Cause;
  readonly hosts: readonly UpstreamEntry[];
  readonly queues: readonly UpstreamEntry[];
  readonly services: readonly UpstreamEntry[];
  /** Each kind and name once. */
  readonly components: readonly ComponentReport[];
}

export const MAX_NAME_LENGTH = 255;
/** Of `because`: a kind, a colon, a name. */
export const MAX_BECAUSE_LENGTH = 264;
export const SITE_PATTERN = /^[A-Za-z0-9_.-]{1,64}$/;

/** The body of a message. Format 1 is exactly upstream's; format 2 adds one top-level key, which upstream ignores. */
export function encodeHeartbeat(heartbeat: Heartbeat, format: 1 | 2): Buffer {
  const body = {
    status: "heartbeat",
    service: "publisher",
    timestamp: formatUpstreamTimestamp(heartbeat.startedAtMs),
    hosts: heartbeat.hosts.map(upstreamEntry),
    rmq_consumers: {
      queues_status: heartbeat.queues.map(upstreamEntry),
      services_status: heartbeat.services.map(upstreamEntry),
    },
  };
  return Buffer.from(JSON.stringify(format === 1 ? body : { ...body, v2: v2Part(heartbeat) }));
}

const BADNESS: Readonly<Record<State, number>> = { up: 0, unknown: 1, down: 2 };

/** Whether `a` is worse news than `b`: down before unknown before up. */
export function isWorse(a: State, b: State): boolean {
  return BADNESS[a] > BADNESS[b];
}

function upstreamEntry({ name, state, observedAtMs }: UpstreamEntry): object {
  return {
    name,
    status: state === "up" ? "ok" : "not_ok",
    timestamp: formatUpstreamTimestamp(observedAtMs),
  };
}

function v2Part(heartbeat: Heartbeat): V2Part {
  return {
    site: heartbeat.site,
    bootId: heartbeat.bootId,
    sequence: heartbeat.sequence,
    sentAt: new Date(heartbeat.sentAtMs).toISOString(),
    uptimeMs: Math.round(heartbeat.uptimeMs),
    intervalSeconds: heartbeat.intervalMs / 1000,
    cause: heartbeat.cause,
    components: heartbeat.components.map(({ sinceMs, observedAtMs, latencyMs, values, ...component }) => ({
      ...component,
      since: sinceMs === undefined ? undefined : new Date(sinceMs).toISOString(),
      observedAt: new Date(observedAtMs).toISOString(),
      latencyMs,
      values: values && sendableValues(values),
    })),
  };
}
