import * as z from "zod";
import { ManagementError, type ManagementQuestions } from "./management.ts";
import { emptyObject, queuePath } from "./queue-answer.ts";
import type { Waiting } from "./stall.ts";

/** What RabbitMQ remembers of a queue at one moment, by its own clock. */
export interface Moment {
  readonly atMs: number;
  readonly unacknowledged: number;
  /** How many messages had been taken for good since the counting began. */
  readonly taken: number;
}

/** How far back, and how far apart: RabbitMQ keeps a sample of every 5 s for ten minutes, and one a minute for an hour. */
const RECENT = { ageS: 600, everyS: 5 };
const LONG = { ageS: 3_600, everyS: 60 };
const MOST_SAMPLES = 1_000;

const series = emptyObject({
  samples: z
    .array(z.object({ sample: z.number(), timestamp: z.number() }))
    .max(MOST_SAMPLES)
    .default([]),
});

const schema = z.object({
  messages_unacknowledged_details: series.optional(),
  message_stats: emptyObject({
    ack_details: series.optional(),
    deliver_no_ack_details: series.optional(),
    get_no_ack_details: series.optional(),
  }).optional(),
});

const COLUMNS = [
  "messages_unacknowledged_details.samples",
  "message_stats.ack_details.samples",
  "message_stats.deliver_no_ack_details.samples",
  "message_stats.get_no_ack_details.samples",
].join(",");

/**
 * For how long, at least, a consumer has held messages of this queue while none was taken for good: for who looks for the
 * first time. 0 where RabbitMQ cannot tell.
 */
export async function askStoodStillMs(
  management: ManagementQuestions,
  { vhost, queue, overMs }: { vhost: string; queue: string; overMs: number },
  seen: Waiting,
  signal: AbortSignal,
): Promise<number> {
  const { ageS, everyS } = overMs < RECENT.ageS * 1_000 ? RECENT : LONG;
  const range = ["lengths", "msg_rates"]
    .map((what) => `${what}_age=${ageS}&${what}_incr=${everyS}`)
    .join("&");
  try {
    const path = queuePath(vhost, queue, `${range}&columns=${COLUMNS}`);
    const found = await management.get(path, schema, signal);
    return found ? stoodStillMs(momentsOf(found), seen) : 0;
  } catch (error) {
    // Without its memory there is ours, from this look on.
    if (error instanceof ManagementError) return 0;
    throw error;
  }
}

/**
 * Of moments in any order. One in which messages wait that no consumer holds does not count, as no consumer may have
 * been attached; nor does one before RabbitMQ's own start, of which it says that there was nothing.
 */
export function stoodStillMs(moments: readonly Moment[], seen: Waiting): number {
  const newestFirst = moments.toSorted((one, other) => other.atMs - one.atMs);
  let sinceMs: number | undefined;
  for (const moment of newestFirst) {
    const isStandingStill = moment.taken === seen.taken && moment.unacknowledged > 0;
    if (!isStandingStill) break;
    sinceMs = moment.atMs;
  }
  const newest = newestFirst[0];
  return newest && sinceMs !== undefined ? newest.atMs - sinceMs : 0;
}

function momentsOf(found: z.output<typeof schema>): Moment[] {
  const { ack_details, deliver_no_ack_details, get_no_ack_details } = found.message_stats ?? {};
  const unacknowledged = byTime(found.messages_unacknowledged_details);
  const counts = [ack_details, deliver_no_ack_details, get_no_ack_details].map(byTime);
  // The lengths' newest sample may be newer than that of the counts.
  return [...(counts[0]?.keys() ?? [])]
    .filter((atMs) => unacknowledged.has(atMs))
    .map((atMs) => ({
      atMs,
      unacknowledged: unacknowledged.get(atMs) ?? 0,
      taken: counts.reduce((sum, count) => sum + (count.get(atMs) ?? 0), 0),
    }));
}

function byTime(details: z.output<typeof series> | undefined): ReadonlyMap<number, number> {
  return new Map((details?.samples ?? []).map(({ sample, timestamp }) => [timestamp, sample]));
}
