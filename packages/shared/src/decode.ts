import * as z from "zod";
import {
  type Cause,
  type ComponentReport,
  isWorse,
  type Kind,
  MAX_NAME_LENGTH,
  SITE_PATTERN,
} from "./heartbeat.ts";
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
/** More do not fit in a body, in either format: an entry as upstream or we write it takes 70 bytes or more. */
const MAX_ENTRIES = 15_000;
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
    if (!other || isWorse(component.state, other.state)) worst.set(key, component);
  }
  return [...worst.values()];
}

function receivedV2(v2: z.output<typeof v2Schema>): DatedPart {
  const { sentAt, intervalSeconds, components, ...rest } = v2;
  return {
    ...rest,
    format: 2,
    sentAtMs: sentAt,
    intervalMs: intervalSeconds * 1000,
    components: components.map(({ since, observedAt, ...component }) => ({
      ...component,
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

/** Half a surrogate pair is no text: neither UTF-8 nor Redis's JSON can hold it. */
const text = (mostLength: number) =>
  z
    .string()
    .max(mostLength)
    .refine((given) => given.isWellFormed(), "is not well-formed text");
const name = text(MAX_NAME_LENGTH).min(1);
const kind = z.enum(["service", "queue"]);
const state = z.enum(["up", "down", "unknown"]);
/** ISO 8601 in UTC, as Date.prototype.toISOString writes it, to unix milliseconds. */
const isoTime = z.iso
  .datetime()
  .transform((text) => Date.parse(text))
  .refine((atMs) => atMs >= 0, "is before 1970");
const shortText = text(1000).optional();
/** Thirty years. Beyond what a date can be, one heartbeat could make all times of its site unprintable. */
const MAX_UPTIME_MS = 1e12;

/** Looks no further than to the first bad entry: the problems of a million would fill the memory. */
const listOf = <Schema extends z.ZodType>(entry: Schema) =>
  z
    .custom<z.input<Schema>[]>(
      (list) => Array.isArray(list) && list.length <= MAX_ENTRIES,
      `is no list of at most ${MAX_ENTRIES} entries`,
    )
    .transform((list, context) => {
      const entries: z.output<Schema>[] = [];
      for (const [index, given] of list.entries()) {
        const parsed = entry.safeParse(given);
        if (!parsed.success) {
          const [issue] = parsed.error.issues;
          context.addIssue({ ...issue, code: "custom", path: [index, ...(issue?.path ?? [])] });
          return z.NEVER;
        }
        entries.push(parsed.data);
      }
      return entries;
    });

const entrySchema = z.object({
  name,
  status: z.enum(["ok", "not_ok"]),
  // Upstream takes the time of receipt for a missing one.
  timestamp: z.unknown().optional(),
});

type Entry = z.output<typeof entrySchema>;

const v2Schema = z.object({
  site: z.string().regex(SITE_PATTERN),
  bootId: text(64).min(1),
  sequence: z.int().min(1),
  sentAt: isoTime,
  uptimeMs: z.number().min(0).max(MAX_UPTIME_MS),
  intervalSeconds: z.number().positive().max(86_400),
  cause: z.enum(["interval", "change", "goodbye", "backfill"]),
  components: listOf(
    z.object({
      kind,
      name,
      probe: text(64).optional(),
      state,
      reason: text(64).optional(),
      detail: shortText,
      since: isoTime.optional(),
      observedAt: isoTime,
      latencyMs: z.number().min(0).optional(),
    }),
  ),
});

/** The key that format 2 adds, as it is written. */
export type V2Part = z.input<typeof v2Schema>;

const messageSchema = z.object({
  status: z.literal("heartbeat"),
  timestamp: text(64),
  hosts: listOf(entrySchema).default([]),
  rmq_consumers: z.object({
    queues_status: listOf(entrySchema).default([]),
    services_status: listOf(entrySchema).default([]),
  }),
  v2: v2Schema.optional(),
});

type Message = z.output<typeof messageSchema>;
