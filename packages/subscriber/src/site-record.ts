import { valuesSchema } from "@pipeline-heartbeat/shared/values.ts";
import * as z from "zod";
import { senderClockSchema } from "./sender-clock.ts";

const componentRecord = z.object({
  kind: z.enum(["service", "queue"]),
  name: z.string(),
  state: z.enum(["up", "down", "unknown"]),
  /** When the state began, by all that its publishers have said. */
  sinceMs: z.number(),
  /** What the boot that spoke last says of it: later when the state outlived a restart. Absent in old records. */
  reportedSinceMs: z.number().optional(),
  observedAtMs: z.number(),
  /** The last time that it was seen to be up; absent when that never happened. */
  lastUpMs: z.number().optional(),
  /** The last time that it was seen to be not up, or that the site was silent; absent when that never happened. */
  lastFailedMs: z.number().optional(),
  probe: z.string().optional(),
  reason: z.string().optional(),
  detail: z.string().optional(),
  latencyMs: z.number().optional(),
  values: valuesSchema.optional(),
  severity: z.literal("warn").optional(),
  because: z.string().optional(),
});

const boot = z.object({
  bootId: z.string(),
  /** Its newest heartbeat that counted; 0 when none ever did. */
  sequence: z.number(),
  /** Its heartbeats that were taken in, whether they counted or not, as ranges in order; only so many of the last. */
  seen: z.array(z.tuple([z.number(), z.number()])).optional(),
  /** The first and the last sending time of those. */
  firstSentAtMs: z.number().optional(),
  lastSentAtMs: z.number().optional(),
  /** When another boot took over, or when it was passed over first, by the receiver's clock; absent while it speaks. */
  replacedAtMs: z.number().optional(),
  /** Its newest heartbeat since then, although it did not count, and when that was received. */
  heardSince: z.object({ sequence: z.number(), atMs: z.number() }).optional(),
});

/** Everything that is remembered of a site: one JSON text in Redis. Times are unix milliseconds. */
export const siteRecordSchema = z.object({
  site: z.string(),
  format: z.union([z.literal(1), z.literal(2)]),
  /** The publisher's run that speaks for the site, and its newest heartbeat. */
  bootId: z.string(),
  sequence: z.number(),
  /** Why the newest heartbeat was sent. */
  cause: z.enum(["interval", "change", "goodbye", "backfill"]),
  /** The last boots, the one that speaks for the site last. */
  boots: z.array(boot),
  clock: senderClockSchema,
  /** The newest time since which something was said to be so that is not what the components say: see facts.ts. */
  toldAheadMs: z.number().optional(),
  /** The newest sending time of all accepted heartbeats, each counted as no later than its receipt. */
  newestSentAtMs: z.number(),
  intervalMs: z.number(),
  /** The times between the last heartbeats, by the sender's clock, where none is announced. */
  gapsMs: z.array(z.number()),
  /** The receiver's clock. */
  receivedAtMs: z.number(),
  /** When the site was heard for the first time. */
  firstHeardAtMs: z.number(),
  /** How old the news is, by the receiver's clock; never later than the receipt. */
  freshAtMs: z.number(),
  /** The same, of the last news of which that is not merely what a clock says that nobody knows. */
  surelyFreshAtMs: z.number(),
  /** After this, by the receiver's clock, the site is silent. */
  deadlineMs: z.number(),
  /** When the sweep has to look at the site. */
  sweepAtMs: z.number(),
  /** Whether the reader's keys tell of the silence. */
  isSilenceWritten: z.boolean(),
  components: z.array(componentRecord),
});

export type SiteRecord = z.output<typeof siteRecordSchema>;
export type ComponentRecord = z.output<typeof componentRecord>;
export type BootRecord = z.output<typeof boot>;
