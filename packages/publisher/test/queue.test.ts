import { pino } from "pino";
import { describe, expect, test } from "vitest";
import type { Surroundings } from "../src/probe-kind.ts";
import { deadLetter } from "../src/probes/dead-letter.ts";
import { ManagementError, type ManagementQuestions } from "../src/probes/management.ts";
import { queue } from "../src/probes/queue.ts";
import { type Moment, stoodStillMs } from "../src/probes/queue-history.ts";
import {
  nextClock,
  progressOf,
  type StallClock,
  startClock,
  stoodStillForMs,
  type Waiting,
} from "../src/probes/stall.ts";

const STALLED_AFTER_MS = 300_000;
const MINUTE_MS = 60_000;
const signal = new AbortController().signal;

describe("the stall clock", () => {
  /** What is said at the end of looks that are a minute apart. */
  function afterMinutes(looks: readonly Partial<Waiting>[]) {
    const [first, ...others] = looks.map((look) => ({ messages: 5, taken: 10, isCounted: true, ...look }));
    if (!first) throw new Error("needs a look");
    const clock = others.reduce<StallClock>(
      (before, seen, index) => nextClock(before, seen, (index + 1) * MINUTE_MS),
      startClock(first, 0),
    );
    const nowMs = others.length * MINUTE_MS;
    return [progressOf(clock, nowMs, STALLED_AFTER_MS), stoodStillForMs(clock, nowMs)];
  }

  const same = (looks: number, look: Partial<Waiting> = {}) => Array<Partial<Waiting>>(looks).fill(look);

  test.each([
    { name: "is fine in the first minutes", looks: same(5), says: ["fine", 240_000] },
    { name: "says stalled when nothing was taken for so long", looks: same(6), says: ["stalled", 300_000] },
    {
      name: "is not helped by messages that come",
      looks: same(6).map((_, index) => ({ messages: 5 + index })),
      says: ["stalled", 300_000],
    },
    {
      name: "starts anew with each message that is taken, however many come",
      looks: same(9).map((_, index) => ({ messages: 5 + index, taken: index < 4 ? 10 : 11 })),
      says: ["fine", 240_000],
    },
    {
      name: "goes on while messages expire, of which none was acknowledged",
      looks: [...same(3), ...same(3, { messages: 4 })],
      says: ["stalled", 300_000],
    },
    {
      name: "starts anew with a smaller count, which is that of a restarted broker",
      looks: [...same(5), ...same(5, { taken: 0 })],
      says: ["fine", 240_000],
    },
    {
      name: "says stalled after a restart, too",
      looks: [...same(5), ...same(6, { taken: 0 })],
      says: ["stalled", 300_000],
    },
    {
      name: "is not deceived by a count that is absent for a while",
      looks: [...same(2), ...same(3, { taken: undefined }), {}],
      says: ["stalled", 300_000],
    },
    {
      name: "sees what was taken while the count was absent",
      looks: [...same(2), ...same(3, { taken: undefined }), ...same(4, { taken: 11 })],
      says: ["fine", 180_000],
    },
    {
      name: "knows nothing when nothing is counted",
      looks: same(6, { taken: undefined }),
      says: ["unknown", undefined],
    },
    {
      name: "waits as long before it says so",
      looks: same(5, { taken: undefined }),
      says: ["fine", undefined],
    },
    {
      name: "knows of fewer messages when nothing is counted",
      looks: [...same(4, { taken: undefined }), ...same(5, { taken: undefined, messages: 4 })],
      says: ["fine", undefined],
    },
    {
      name: "says stalled only so long after the counting began",
      looks: [...same(3, { taken: undefined }), ...same(5)],
      says: ["unknown", 240_000],
    },
    {
      name: "knows nothing of consumers that are not counted",
      looks: same(6, { isCounted: false }),
      says: ["unknown", undefined],
    },
  ])("$name", ({ looks, says }) => {
    expect(afterMinutes(looks)).toEqual(says);
  });
});

describe("what RabbitMQ remembers", () => {
  const seen: Waiting = { messages: 5, taken: 10, isCounted: true };

  /** A minute apart, the newest first. */
  function moments(...given: readonly Partial<Moment>[]): Moment[] {
    return given.map((moment, index) => ({
      atMs: 1_795_481_220_000 - index * MINUTE_MS,
      unacknowledged: 2,
      taken: 10,
      ...moment,
    }));
  }

  test.each([
    { name: "nothing", moments: [], minutes: 0 },
    { name: "one moment", moments: moments({}), minutes: 0 },
    { name: "the same for minutes", moments: moments({}, {}, {}, {}), minutes: 3 },
    { name: "in another order", moments: moments({}, {}, {}, {}).toReversed(), minutes: 3 },
    { name: "one taken in between", moments: moments({}, {}, { taken: 9 }, { taken: 9 }), minutes: 1 },
    { name: "one taken since", moments: moments({ taken: 9 }, { taken: 9 }), minutes: 0 },
    { name: "an empty queue before", moments: moments({}, {}, { unacknowledged: 0 }), minutes: 1 },
    { name: "messages that nobody held", moments: moments({}, {}, { unacknowledged: 0 }, {}), minutes: 1 },
  ])("$name", ({ moments, minutes }) => {
    expect(stoodStillMs(moments, seen)).toBe(minutes * MINUTE_MS);
  });
});

/** A management API that answers these, one after the other, and then the last again. */
function surroundings(...answers: readonly unknown[]): { asked: string[]; surroundings: Surroundings } {
  const asked: string[] = [];
  const rest = [...answers];
  const never = () => Promise.reject(new Error("asked for something else"));
  const management: ManagementQuestions = {
    async get(path, schema) {
      asked.push(path);
      const answer = rest.length > 1 ? rest.shift() : rest[0];
      if (answer instanceof Error) throw answer;
      return answer === undefined ? undefined : schema.parse(answer);
    },
    seesAllConsumers: never,
    consumers: never,
    queues: never,
    consumersOf: never,
  };
  const broker = { host: "mq", amqpPort: 5672, user: "u", password: "p", vhost: "a/b", tls: undefined };
  const log = pino({ level: "silent" });
  return {
    asked,
    surroundings: { management, broker, brokerConnectedAtMs: () => 0, now: Date.now, log },
  };
}

const DISABLED = { name: "q", type: "classic", state: "live" };
const NEW = { name: "q", type: "quorum", consumer_details: [] };
const CHANNEL = { channel_details: { name: "127.0.0.1:1 -> 127.0.0.1:2 (1)" } };
const WORKING = {
  name: "q",
  type: "classic",
  state: "running",
  messages: 7,
  messages_ready: 4,
  messages_unacknowledged: 3,
  consumers: 1,
  consumer_details: [CHANNEL],
  message_stats: { ack: 12, publish: 19 },
};
const STREAM = { ...WORKING, type: "stream", messages: 1_000_000, messages_ready: 1_000_000 };
const VALUES = { messages_ready: 4, messages_unacknowledged: 3, consumers: 1 };

describe("queue", () => {
  async function lookAt(answer: unknown, limits: object = {}) {
    const options = queue.options.parse({ queue: "q", ...limits });
    const seen = await queue.start(options, surroundings(answer, {}).surroundings)(signal);
    return [seen.state, seen.reason, seen.values];
  }

  test.each([
    {
      name: "that is worked on",
      answer: WORKING,
      says: ["up", undefined, { ...VALUES, stalled_seconds: 0 }],
    },
    { name: "that is not there", answer: undefined, says: ["down", "queue_missing", undefined] },
    {
      name: "of which nothing is counted yet",
      answer: NEW,
      says: ["unknown", "management_failed", undefined],
    },
    {
      name: "without statistics",
      answer: DISABLED,
      says: ["unknown", "statistics_disabled", undefined],
    },
    {
      name: "of another name",
      answer: { ...WORKING, name: "r" },
      says: ["unknown", "management_failed", undefined],
    },
    {
      name: "in a state that nobody knows",
      answer: { ...WORKING, state: "recovering" },
      says: ["unknown", "queue_failed", undefined],
    },
    ...["down", "stopped", "crashed", "minority"].map((state) => ({
      name: `that is ${state}`,
      answer: { ...DISABLED, state },
      says: ["down", "queue_failed", undefined],
    })),
    ...["idle", "flow", undefined].map((state) => ({
      name: `whose state is ${state}`,
      answer: { ...WORKING, state },
      says: ["up", undefined, { ...VALUES, stalled_seconds: 0 }],
    })),
  ])("$name", async ({ answer, says }) => {
    expect(await lookAt(answer)).toEqual(says);
  });

  test.each([
    { limits: { maxDepth: 7 }, says: ["up", undefined] },
    { limits: { maxDepth: 6 }, says: ["down", "queue_too_deep"] },
    { limits: { maxUnacknowledged: 3 }, says: ["up", undefined] },
    { limits: { maxUnacknowledged: 2 }, says: ["down", "queue_too_many_unacknowledged"] },
    { limits: { maxDepth: 0, maxUnacknowledged: 0 }, says: ["down", "queue_too_deep"] },
  ])("with $limits", async ({ limits, says }) => {
    const [state, reason, values] = await lookAt(WORKING, limits);
    expect([state, reason]).toEqual(says);
    expect(values).toMatchObject(VALUES);
  });

  test.each([
    { limits: {}, says: ["up", undefined] },
    { limits: { maxDepth: 5 }, says: ["unknown", "queue_is_stream"] },
    { limits: { maxUnacknowledged: 5 }, says: ["unknown", "queue_is_stream"] },
    { limits: { stalledAfter: 300 }, says: ["unknown", "queue_is_stream"] },
  ])("a stream with $limits", async ({ limits, says }) => {
    expect((await lookAt(STREAM, limits)).slice(0, 2)).toEqual(says);
  });

  test("of a stream nothing else is asked", async () => {
    const { asked, surroundings: all } = surroundings(STREAM);
    await queue.start(queue.options.parse({ queue: "q" }), all)(signal);
    expect(asked).toHaveLength(1);
  });

  test("names of all kinds are asked for, encoded", async () => {
    const { asked, surroundings: all } = surroundings(undefined);
    await queue.start(queue.options.parse({ queue: "in/box ?" }), all)(signal);
    expect(asked).toEqual([expect.stringMatching(/^queues\/a%2Fb\/in%2Fbox%20%3F\?columns=/)]);
  });

  test("what the API fails with is told", async () => {
    const { surroundings: all } = surroundings(new ManagementError("management_refused", "answered 401"));
    const seen = await queue.start(queue.options.parse({ queue: "q" }), all)(signal);
    expect(seen).toMatchObject({ state: "unknown", reason: "management_refused", detail: "answered 401" });
  });

  test.each([{ stalledAfter: 5 }, { maxDepth: -1 }, { maxDepht: 1 }, { queue: "" }])(
    "%o is refused",
    (wrong) => {
      expect(queue.options.safeParse({ queue: "q", ...wrong }).success).toBe(false);
    },
  );

  const samples = (...given: readonly number[]) => ({
    samples: given.map((sample, index) => ({ sample, timestamp: 1_795_481_220_000 - index * MINUTE_MS })),
  });
  const STOOD_STILL = {
    messages_details: samples(7, 7, 6, 6, 6, 6, 5),
    messages_unacknowledged_details: samples(3, 3, 3, 3, 3, 3, 3),
    message_stats: { ack_details: samples(12, 12, 12, 12, 12, 12, 11) },
  };

  async function firstAndSecond(...answers: readonly unknown[]) {
    const { asked, surroundings: all } = surroundings(...answers);
    const look = queue.start(queue.options.parse({ queue: "q" }), all);
    const seen = [await look(signal), await look(signal)];
    return { asked, seen: seen.map(({ state, reason }) => [state, reason]) };
  }

  test("a first look knows what RabbitMQ remembers, and only the first asks for it", async () => {
    const { asked, seen } = await firstAndSecond(WORKING, STOOD_STILL, WORKING);
    expect(seen).toEqual([
      ["down", "queue_stalled"],
      ["down", "queue_stalled"],
    ]);
    expect(asked.map((path) => path.includes("lengths_age=600&lengths_incr=5"))).toEqual([
      false,
      true,
      false,
    ]);
  });

  test("of consumers that are not counted RabbitMQ's memory proves nothing", async () => {
    for (const channel_details of [[], { name: "" }, undefined]) {
      const uncounted = { ...WORKING, consumer_details: [CHANNEL, { channel_details }] };
      expect((await firstAndSecond(uncounted, STOOD_STILL, uncounted)).seen).toEqual([
        ["unknown", "progress_unknown"],
        ["unknown", "progress_unknown"],
      ]);
    }
  });

  test("an acknowledgement ends the stall", async () => {
    const { seen } = await firstAndSecond(WORKING, STOOD_STILL, { ...WORKING, message_stats: { ack: 13 } });
    expect(seen[1]).toEqual(["up", undefined]);
  });

  test("what is delivered or put back ends no stall", async () => {
    const message_stats = { ack: 12, deliver: 500, redeliver: 400, get: 7, deliver_get: 507 };
    const { seen } = await firstAndSecond(WORKING, STOOD_STILL, { ...WORKING, message_stats });
    expect(seen[1]).toEqual(["down", "queue_stalled"]);
  });

  test.each([
    { name: "no consumer", answer: { ...WORKING, consumers: 0, consumer_details: [] } },
    {
      name: "no message",
      answer: { ...WORKING, messages: 0, messages_ready: 0, messages_unacknowledged: 0 },
    },
  ])("with $name there is nothing to remember, and the clock begins anew afterwards", async ({ answer }) => {
    const { asked, seen } = await firstAndSecond(answer, WORKING);
    expect(asked).toHaveLength(2);
    expect(seen).toEqual([
      ["up", undefined],
      ["up", undefined],
    ]);
  });

  test("looks without statistics in between do not end a stall", async () => {
    const { surroundings: all } = surroundings(WORKING, STOOD_STILL, NEW, WORKING);
    const look = queue.start(queue.options.parse({ queue: "q" }), all);
    const reasons = [await look(signal), await look(signal), await look(signal)].map(({ reason }) => reason);
    expect(reasons).toEqual(["queue_stalled", "management_failed", "queue_stalled"]);
  });

  test.each([
    { name: "fails", memory: new ManagementError("management_failed", "bad range") },
    { name: "is empty", memory: {} },
    { name: "has empty parts", memory: { messages_details: [], message_stats: [] } },
  ])("a memory that $name is none", async ({ memory }) => {
    expect((await firstAndSecond(WORKING, memory, WORKING)).seen[0]).toEqual(["up", undefined]);
  });
});

describe("deadLetter", () => {
  test.each([
    { name: "with too many", answer: WORKING, max: 6, says: ["down", "dead_letters", { dead_letters: 7 }] },
    { name: "with just enough", answer: WORKING, max: 7, says: ["up", undefined, { dead_letters: 7 }] },
    {
      name: "that is empty",
      answer: { ...WORKING, messages: 0, messages_ready: 0, messages_unacknowledged: 0 },
      max: undefined,
      says: ["up", undefined, { dead_letters: 0 }],
    },
    {
      name: "with one",
      answer: { ...WORKING, messages: 1 },
      says: ["down", "dead_letters", { dead_letters: 1 }],
    },
    { name: "that is not there", answer: undefined, says: ["down", "queue_missing", undefined] },
    { name: "that is a stream", answer: STREAM, says: ["unknown", "queue_is_stream", undefined] },
    {
      name: "of which nothing is counted yet",
      answer: NEW,
      says: ["unknown", "management_failed", undefined],
    },
    { name: "without statistics", answer: DISABLED, says: ["unknown", "statistics_disabled", undefined] },
    {
      name: "that is down",
      answer: { ...DISABLED, state: "down" },
      says: ["down", "queue_failed", undefined],
    },
  ])("$name", async ({ answer, max, says }) => {
    const options = deadLetter.options.parse({ queue: "q", ...(max !== undefined && { max }) });
    const seen = await deadLetter.start(options, surroundings(answer).surroundings)(signal);
    expect([seen.state, seen.reason, seen.values]).toEqual(says);
  });

  test("is named for its queue", () => {
    expect(deadLetter.defaultName?.(deadLetter.options.parse({ queue: "q" }))).toBe("q");
    expect(queue.defaultName?.(queue.options.parse({ queue: "q" }))).toBe("q");
  });
});
