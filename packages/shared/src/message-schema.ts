import * as z from "zod";
import { MAX_BECAUSE_LENGTH, MAX_NAME_LENGTH, SITE_PATTERN } from "./heartbeat.ts";
import { valuesSchema } from "./values.ts";

/** More do not fit in a body, in either format: an entry as upstream or we write it takes 70 bytes or more. */
export const MAX_ENTRIES = 15_000;

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
const because = text(MAX_BECAUSE_LENGTH).refine(
  (given) => /^(service|queue):./su.test(given),
  "is no kind and name with a colon between them",
);
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

export type Entry = z.output<typeof entrySchema>;

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
      values: valuesSchema.optional(),
      severity: z.enum(["fail", "warn"]).optional(),
      because: because.optional(),
    }),
  ),
});

/** The key that format 2 adds, as it is written. */
export type V2Part = z.input<typeof v2Schema>;

/** A message of either format, as it is on the wire. */
export const messageSchema = z.object({
  status: z.literal("heartbeat"),
  timestamp: text(64),
  hosts: listOf(entrySchema).default([]),
  rmq_consumers: z.object({
    queues_status: listOf(entrySchema).default([]),
    services_status: listOf(entrySchema).default([]),
  }),
  v2: v2Schema.optional(),
});

export type Message = z.output<typeof messageSchema>;
