import type * as z from "zod";
import { type Cause, type ComponentReport, isWorse, type Kind } from "./heartbeat.ts";
import { type Entry, MAX_ENTRIES, type Message, messageSchema } from "./message-schema.ts";
import { formatUpstreamTimestamp, parseUpstreamTimestamp } from "./timestamp.ts";

/** A heartbeat as the subscriber received it, in either format. */
export interface ReceivedHeartbeat {
  readonly format: 1 | 2;
  /** Absent in format 1. */
  readonly site: string | undefined;
  /** Names one run of the publisher. In format 1 it is the top-level timestamp, which upstream never moves. */
  readonly bootId: string;
  /** Decides the order within a boot. In format 1 it is the newest entry's time in unix milliseconds. */
  readonly sequence: number;
  /** Unix milliseconds of the publisher's wall clock. */
  readonly sentAtMs: number;
  readonly uptimeMs: number | undefined;
  readonly intervalMs: number | undefined;
  readonly cause: Cause;
  /** Each kind and name once: of several entries the worst counts. */
  readonly components: readonly ComponentReport[];
  /** The format-1 part in the order in which upstream's subscriber goes through it. */
  readonly upstreamEntries: readonly UpstreamKey[];
}

/** One entry of the format-1 part, as upstream's subscriber writes it to Redis. */
export interface UpstreamKey {
  readonly kind: Kind;
  readonly name: string;
  readonly status: "ok" | "not_ok";
  /** What stands there as the timestamp; the time of receipt when there is no text. */
  readonly value: string;
}

export type Decoded =
  | { readonly ok: true; readonly heartbeat: ReceivedHeartbeat }
  | { readonly ok: false; readonly problem: string };

/** More than ten thousand components in format 1 fit; what is larger is refused before it is parsed. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** Three for each entry, should its name have some. A million empty objects would cost a hundred times their text. */
const MAX_BRACKETS = 3 * MAX_ENTRIES;

/**
 * Reads the body of a message of either format. Never throws: what is no heartbeat comes back as a problem.
 * Format-1 entries without a valid timestamp get `receivedAtMs` (unix milliseconds, the receiver's clock).
 */
export function decodeHeartbeat(body: Uint8Array, receivedAtMs: number): Decoded {
  if (body.byteLength > MAX_BODY_BYTES) return { ok: false, problem: `larger than ${MAX_BODY_BYTES} bytes` };
  if (openingBrackets(body) > MAX_BRACKETS)
    return { ok: false, problem: "not a heartbeat: too many objects" };
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    return { ok: false, problem: error instanceof TypeError ? "not UTF-8" : "not JSON" };
  }
  const parsed = messageSchema.safeParse(json);
  if (!parsed.success) return { ok: false, problem: `not a heartbeat: ${firstIssue(parsed.error)}` };
  const heartbeat = parsed.data.v2 ? receivedV2(parsed.data.v2) : receivedV1(parsed.data, receivedAtMs);
  const components = worstOfEach(heartbeat.components);
  const upstreamEntries = upstreamKeys(parsed.data, receivedAtMs);
  return { ok: true, heartbeat: { ...heartbeat, components, upstreamEntries } };
}

function openingBrackets(body: Uint8Array): number {
  let count = 0;
  // Ten times as fast as an iterator.
  for (let index = 0; index < body.length; index += 1) {
    if (body[index] === OPENING_BRACE || body[index] === OPENING_BRACKET) count += 1;
  }
  return count;
}

const OPENING_BRACE = 0x7b;
const OPENING_BRACKET = 0x5b;

type DatedPart = Omit<ReceivedHeartbeat, "upstreamEntries">;

function worstOfEach(components: readonly ComponentReport[]): ComponentReport[] {
  const worst = new Map<string, ComponentReport>();
  for (const component of components) {
    const key = `${component.kind}:${component.name}`;
    const other = worst.get(key);
    const worse = !other || isWorse(component.state, other.state) ? component : other;
    // The state of the one must not be softened by the severity of the other.
    const isSoftened = other !== undefined && other.severity !== component.severity;
    worst.set(key, isSoftened ? { ...worse, severity: undefined } : worse);
  }
  return [...worst.values()];
}

function receivedV2(v2: NonNullable<Message["v2"]>): DatedPart {
  const { sentAt, intervalSeconds, components, ...rest } = v2;
  return {
    ...rest,
    format: 2,
    sentAtMs: sentAt,
    intervalMs: intervalSeconds * 1000,
    components: components.map(({ since, observedAt, severity, ...component }) => ({
      ...component,
      ...(severity === "warn" && { severity }),
      sinceMs: since,
      observedAtMs: observedAt,
    })),
  };
}

function receivedV1(message: Message, receivedAtMs: number): DatedPart {
  const { hosts, rmq_consumers: consumers } = message;
  const entries = [...hosts, ...consumers.services_status, ...consumers.queues_status];
  const times = entries.map((entry) => timeOf(entry)).filter((atMs) => atMs !== undefined);
  const newestMs = times.length > 0 ? times.reduce((a, b) => Math.max(a, b)) : receivedAtMs;
  const report =
    (kind: Kind) =>
    (entry: Entry): ComponentReport => ({
      kind,
      name: entry.name,
      state: entry.status === "ok" ? "up" : "down",
      observedAtMs: timeOf(entry) ?? receivedAtMs,
    });
  return {
    format: 1,
    site: undefined,
    bootId: message.timestamp,
    sequence: newestMs,
    sentAtMs: newestMs,
    uptimeMs: undefined,
    intervalMs: undefined,
    cause: "interval",
    components: [
      ...hosts.map(report("service")),
      ...consumers.services_status.map(report("service")),
      ...consumers.queues_status.map(report("queue")),
    ],
  };
}

/** One from before 1970 is none: the old reader could not parse the year 0. */
function timeOf({ timestamp }: Entry): number | undefined {
  const atMs = parseUpstreamTimestamp(timestamp);
  return atMs !== undefined && atMs >= 0 ? atMs : undefined;
}

function upstreamKeys({ hosts, rmq_consumers: consumers }: Message, receivedAtMs: number): UpstreamKey[] {
  const key =
    (kind: Kind) =>
    ({ name, status, timestamp }: Entry): UpstreamKey => {
      const value = typeof timestamp === "string" ? timestamp : formatUpstreamTimestamp(receivedAtMs);
      return { kind, name, status, value };
    };
  return [
    ...hosts.map(key("service")),
    ...consumers.services_status.map(key("service")),
    ...consumers.queues_status.map(key("queue")),
  ];
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  const path = issue?.path.join(".");
  return `${path ? `${path}: ` : ""}${issue?.message}`.slice(0, 200);
}
