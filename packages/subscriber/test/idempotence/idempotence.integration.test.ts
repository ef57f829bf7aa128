import * as fc from "fast-check";
import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import type { Redis } from "ioredis";
import { pino } from "pino";
import { expect, test } from "vitest";
import { intake } from "../../src/intake.ts";
import type { Store } from "../../src/store.ts";
import { freshStore } from "../fresh-store.ts";
import { rules } from "../heartbeats.ts";
import { boots, leavesOut, messagesOf, type Sent } from "./site-story.ts";

/** The same stories each time, so that whoever breaks them did it; HISTORIES=500 explores as many others. */
const SEED = 20_261_123;
const RANDOM_RUNS = process.env["HISTORIES"] === undefined ? undefined : Number(process.env["HISTORIES"]);
const RUNS = 300;

const log = pino({ level: "silent" });
const never = new AbortController().signal;

/** How the messages come, other than once, one by one and in order. */
interface Ways {
  /** Messages that come again, as a replay does. */
  readonly again: readonly number[];
  /** By how much each message, the replays after all others, is displaced; the first as far as this says. */
  readonly shuffle: readonly number[];
  readonly isFarOut: boolean;
  /** Messages in each batch, over and over. */
  readonly batches: readonly number[];
  /** Batches after which a subscriber dies before it acknowledges, so that another one gets them again. */
  readonly crashes: readonly number[];
  /** Commits whose answer is lost, so that they are tried again. */
  readonly lostAnswers: readonly number[];
  /** How many subscribers take batches at the same time. */
  readonly subscribers: 1 | 2;
}

const ways: fc.Arbitrary<Ways> = fc.record({
  again: fc.array(fc.nat(100), { maxLength: 6 }),
  shuffle: fc.array(fc.nat(100), { minLength: 50, maxLength: 50 }),
  isFarOut: fc.boolean(),
  batches: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 4 }),
  crashes: fc.array(fc.nat(10), { maxLength: 3 }),
  lostAnswers: fc.array(fc.nat(20), { maxLength: 1 }),
  subscribers: fc.constantFrom(1 as const, 2 as const),
});

interface Delivered extends Sent {
  readonly isRedelivered: boolean;
}

/** The batches of a delivery, and whether the first comes before all others are taken. */
interface Batches {
  readonly batches: readonly Delivered[][];
  readonly isFirstAlone: boolean;
}

/**
 * Where a boot leaves out components that others reported, a heartbeat that counts is taken in first: of back-fill of a
 * site of which nothing else is known only the events are kept, not when its boot began.
 */
function batchesOf(
  sent: readonly Sent[],
  { again, shuffle, isFarOut, batches, crashes }: Ways,
  isFirstAlone: boolean,
): Batches {
  const replays = again.flatMap((index) => sent[index % Math.max(sent.length, 1)] ?? []);
  const amplitude = isFarOut ? 1 : 0.04;
  const order = [...sent, ...replays].map((message, index) => ({
    message: { ...message, isRedelivered: false },
    at: index + (shuffle[index % shuffle.length] ?? 0) * amplitude,
  }));
  const waiting = order.toSorted((a, b) => a.at - b.at).map(({ message }) => message);
  const firstThatCounts = waiting.findIndex(({ isBackfill }) => !isBackfill);
  if (isFirstAlone) waiting.unshift(...waiting.splice(firstThatCounts, 1));
  const cut: Delivered[][] = [];
  while (waiting.length > 0) cut.push(waiting.splice(0, batches[cut.length % batches.length]));
  const delivered = cut.flatMap((batch, index) => {
    const again = batch.map((message) => ({ ...message, isRedelivered: true }));
    return crashes.includes(index) ? [batch, again] : [batch];
  });
  return { batches: delivered, isFirstAlone };
}

const inOrder: Ways = {
  again: [],
  shuffle: [0],
  isFarOut: false,
  batches: [1],
  crashes: [],
  lostAnswers: [],
  subscribers: 1,
};

test("whatever comes twice, late or to whom: the same state and the same events as once and in order", async () => {
  expect.hasAssertions();
  const { store, redis } = await freshStore();
  const startMs = Date.now() - 3_600_000;
  const property = fc.asyncProperty(boots, ways, async (story, way) => {
    const sent = messagesOf(story, "tsd", startMs);
    const expected = await deliver(store, redis, batchesOf(sent, inOrder, false), inOrder);
    const found = await deliver(store, redis, batchesOf(sent, way, leavesOut(story)), way);
    expect(found.told).toEqual(expected.told);
    expect(expected.rejected).toBe(0);
    const accused = way.again.filter((index) => sent[index % sent.length]?.isBackfill === false).length;
    // Of two that come to two subscribers at once none is known to be the second.
    if (way.subscribers === 1) expect(found.rejected).toBe(accused);
    else expect(found.rejected).toBeLessThanOrEqual(accused);
  });
  await fc.assert(property, {
    numRuns: RANDOM_RUNS ?? RUNS,
    ...(RANDOM_RUNS === undefined && { seed: SEED }),
    endOnFailure: RANDOM_RUNS === undefined,
  });
}, 3_600_000);

async function deliver(store: Store, redis: Redis, { batches, isFirstAlone }: Batches, way: Ways) {
  await redis.flushdb();
  const waiting = [...batches];
  const takers = Array.from({ length: way.subscribers }, () => subscriber(store, way.lostAnswers));
  if (isFirstAlone) await takers[0]?.(waiting.shift() ?? []);
  await Promise.all(
    takers.map(async (take) => {
      for (let batch = waiting.shift(); batch; batch = waiting.shift()) await take(batch);
    }),
  );
  return { told: await told(store, redis), rejected: await redis.llen("heartbeat:rejected") };
}

function subscriber(plain: Store, lostAnswers: readonly number[]) {
  let commits = 0;
  const store: Store = {
    ...plain,
    async commit(...given) {
      const result = await plain.commit(...given);
      commits += 1;
      if (lostAnswers.includes(commits)) throw new Error("no answer in time");
      return result;
    },
  };
  const outage = outageLog("redis", log);
  const taking = intake({ store, rules, defaultSite: "default", clockSetAtMs: () => 0, log, outage });
  return async (batch: readonly Delivered[]) => {
    const receivedAtMs = Date.now();
    const deliveries = batch.map(({ body, isRedelivered }) => {
      return { body, receivedAtMs, hasWaited: isRedelivered, isRedelivered };
    });
    await taking.take(deliveries, never);
  };
}

/**
 * Of the record: who speaks, with its newest heartbeat, and every component with its state, since when that is and since
 * when its boot says so. Of the events: every one of a component, with its time and its boot, so that one that is there
 * twice shows; the order in the stream is that of their coming and is left out. Of the site as a whole: that it was heard,
 * once; when, by the receiver's clock, depends on what came first. Not the rest of the record, which tells when and how
 * things came; nor an event's reason, which may change while a state lasts.
 */
async function told(store: Store, redis: Redis) {
  const { record } = await store.load("tsd");
  const entries = await redis.xrange("heartbeat:{tsd}:events", "-", "+");
  const events = entries.map(([, fields]) => fields);
  return {
    record: record && {
      bootId: record.bootId,
      sequence: record.sequence,
      cause: record.cause,
      components: record.components
        .map(({ kind, name, state, sinceMs, reportedSinceMs }) => ({
          kind,
          name,
          state,
          sinceMs,
          reportedSinceMs,
        }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    },
    events: events
      .filter(([, kind]) => kind !== "site")
      .map((fields) => fields.join(" "))
      .toSorted(),
    site: events.filter(([, kind]) => kind === "site").map(([, , , name, , state]) => `${name} ${state}`),
  };
}
