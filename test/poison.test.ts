import { Socket } from "node:net";
import { connect, type ConfirmChannel } from "amqplib";
import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { encodeHeartbeat, type Heartbeat } from "../packages/shared/src/heartbeat.ts";
import { expectHealth, freshEnvironment, startBundle } from "./processes.ts";

const EXCHANGE = "my_topic_exchange";
const ROUTING_KEY = "service.heartbeat";
const MIB = 1024 * 1024;
const ROUNDS = 20;

function heartbeat(parts: Partial<Heartbeat> = {}): Buffer {
  const sentAtMs = Date.now();
  const lists = { hosts: [], queues: [], services: [] };
  const components = [{ kind: "service", name: "db", state: "up", observedAtMs: sentAtMs } as const];
  const times = { startedAtMs: sentAtMs, sentAtMs, uptimeMs: 1_000, intervalMs: 60_000 };
  const whole = { site: "tsd", bootId: "boot", sequence: 1, cause: "interval", ...times, ...lists } as const;
  return encodeHeartbeat({ ...whole, components, ...parts }, 2);
}

const text = heartbeat().toString();
const objects = Buffer.from(text.replace('"hosts":[]', `"hosts":[${"{},".repeat(300_000)}{}]`));

/** What is wrong, and why it is refused. */
const poison: Readonly<Record<string, { body: Buffer; reason: string }>> = {
  nothing: { body: Buffer.alloc(0), reason: "not JSON" },
  "bytes of zero": { body: Buffer.alloc(1_000), reason: "not JSON" },
  "no UTF-8": { body: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), reason: "not UTF-8" },
  "a body that was cut off": { body: Buffer.from(text.slice(0, -20)), reason: "not JSON" },
  "half a character": {
    body: Buffer.from(text.replace('"db"', '"\\ud800"')),
    reason: "not a heartbeat: v2.components.0.name: is not well-formed text",
  },
  "a number beyond all numbers": {
    body: Buffer.from(text.replace('"uptimeMs":1000', '"uptimeMs":1e400')),
    reason: "not a heartbeat: v2.uptimeMs: Invalid input: expected number, received Infinity",
  },
  "a sequence of 64 bits": {
    body: Buffer.from(text.replace('"sequence":1', '"sequence":18446744073709551616')),
    reason: "v2.sequence: ",
  },
  "a date that only JavaScript knows": {
    body: Buffer.from(text.replace(/"sentAt":"[^"]*"/, '"sentAt":"+275760-09-13T00:00:00.000Z"')),
    reason: "v2.sentAt: ",
  },
  "an uptime longer than history": {
    body: Buffer.from(text.replace('"uptimeMs":1000', '"uptimeMs":1e308')),
    reason: "v2.uptimeMs: ",
  },
  nesting: { body: Buffer.from("[".repeat(100_000)), reason: "not a heartbeat: too many objects" },
  "300,000 empty objects": { body: objects, reason: "not a heartbeat: too many objects" },
  "20,000 wrong entries": {
    body: Buffer.from(text.replace('"hosts":[]', `"hosts":[${"1,".repeat(20_000)}1]`)),
    reason: "hosts: is no list of at most 15000 entries",
  },
  "a body of three MiB": { body: Buffer.alloc(3 * MIB, "x"), reason: "larger than 1048576 bytes" },
};

/** Odd, and yet heartbeats, each of a site of its own. */
const odd: Readonly<Record<string, Buffer>> = {
  "odd-marked": Buffer.from(`\ufeff${heartbeat({ site: "odd-marked" }).toString()}`),
  "odd-names": heartbeat({
    site: "odd-names",
    components: ["__proto__", "constructor", "toString", "\u001b[2J\r\n\u009b1A\u202e\u2028", "\u0000"].map(
      (name) => ({ kind: "service", name, state: "up", observedAtMs: Date.now() }),
    ),
  }),
  "odd-same": heartbeat({
    site: "odd-same",
    components: Array.from({ length: 10_000 }, () => {
      return { kind: "queue", name: "same", state: "up", observedAtMs: Date.now() };
    }),
  }),
  "odd-times": Buffer.from(
    heartbeat({ site: "odd-times" })
      .toString()
      .replace('"observedAt":"2', '"since":"1970-01-01T00:00:00Z","observedAt":"2'),
  ),
};

async function channelTo(amqpUrl: string): Promise<ConfirmChannel> {
  const connection = await connect(amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange(EXCHANGE, "topic", { durable: true });
  await channel.assertQueue("my_queue", { durable: true });
  await channel.bindQueue("my_queue", EXCHANGE, ROUTING_KEY);
  return channel;
}

/** Publishes a message with lists within lists as a header: as many as fit in a frame, which no client encodes. */
async function publishNestedHeaders(amqpUrl: string, body: Buffer): Promise<void> {
  const channel = await channelTo(amqpUrl);
  const stream: unknown = Reflect.get(channel.connection, "stream");
  if (!(stream instanceof Socket)) throw new Error("no socket");
  const levels = 26_000;
  const lists = Buffer.alloc(levels * 5, "A");
  for (let level = 0; level < levels; level += 1)
    lists.writeUInt32BE((levels - 1 - level) * 5, level * 5 + 1);
  const field = Buffer.concat([short("k"), lists]);
  // Class 60: basic; method 40: publish; bit 13 of the flags: headers.
  const publish = Buffer.concat([shorts(60, 40, 0), short(EXCHANGE), short(ROUTING_KEY), Buffer.alloc(1)]);
  const header = Buffer.concat([shorts(60, 0), longs(0, body.length), shorts(0x2000), longs(field.length)]);
  const frames = [frame(1, publish), frame(2, Buffer.concat([header, field])), frame(3, body)];
  stream.write(Buffer.concat(frames));
  // Answered when all before it has been dealt with.
  await channel.checkExchange(EXCHANGE);
}

function frame(type: number, payload: Buffer): Buffer {
  // On the first channel of its connection.
  const start = Buffer.concat([Buffer.from([type]), shorts(1), longs(payload.length)]);
  return Buffer.concat([start, payload, Buffer.from([0xce])]);
}

function short(name: string): Buffer {
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name)]);
}

function shorts(...values: number[]): Buffer {
  return Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 0xff])));
}

function longs(...values: number[]): Buffer {
  return Buffer.concat(values.map((value) => shorts(value >>> 16, value & 0xffff)));
}

test("poison of any kind between heartbeats is kept apart with its reason, and stops nothing", async () => {
  const { url, amqpUrl, redisDb, subscriber } = await freshEnvironment();
  const redis = new Redis({ ...inject("redis"), db: redisDb });
  onTestFinished(() => redis.disconnect());
  const channel = await channelTo(amqpUrl);
  const publish = (body: Buffer, options = {}) => channel.publish(EXCHANGE, ROUTING_KEY, body, options);
  const { child, printed } = startBundle("subscriber", subscriber);

  let sequence = 0;
  const good = () => {
    sequence += 1;
    const headers = { huge: "x".repeat(40_000), many: Array<null>(20_000).fill(null) };
    publish(heartbeat({ sequence }), sequence % ROUNDS === 0 ? { headers } : {});
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { body } of Object.values(poison)) {
      publish(body, { userId: inject("rabbitmq").user, messageId: `poison/${round}` });
      good();
    }
    await channel.waitForConfirms();
  }
  await publishNestedHeaders(amqpUrl, heartbeat({ sequence: sequence + 1_000 }));
  for (const body of Object.values(odd)) publish(body);
  good();
  await channel.waitForConfirms();

  const record = async () => JSON.parse((await redis.hget("heartbeat:{tsd}:site", "record")) ?? "{}");
  await vi.waitFor(async () => expect(await record()).toMatchObject({ sequence }), 30_000);
  await expectHealth(url, 5_000, ({ code, problems, sites }) => {
    expect({ code, problems }).toEqual({ code: 200, problems: [] });
    expect(sites.map(({ site }) => site).toSorted()).toEqual([...Object.keys(odd), "tsd"]);
  });

  const kept = (await redis.lrange("heartbeat:rejected", 0, -1)).map((line) => JSON.parse(line));
  expect(kept).toHaveLength(ROUNDS * Object.keys(poison).length + 1);
  expect(kept[0]).toMatchObject({ reason: "its headers cannot be read", exchange: EXCHANGE });
  const perRound = kept.slice(1).toReversed();
  for (const [index, { body, reason }] of Object.values(poison).entries()) {
    const ofKind = perRound.filter((_, place) => place % Object.keys(poison).length === index);
    expect(ofKind.map((one) => one.reason)).toEqual(Array(ROUNDS).fill(expect.stringContaining(reason)));
    const origin = { exchange: EXCHANGE, routingKey: ROUTING_KEY, messageId: "poison/0" };
    const { user: userId } = inject("rabbitmq");
    expect(ofKind[0]).toMatchObject({ ...origin, userId, bodyBytes: body.length });
    expect(ofKind[0].head).toBe(body.subarray(0, 500).toString());
  }

  expect(child.exitCode).toBeNull();
  await vi.waitFor(() => {
    const warnings = printed()
      .split("\n")
      .filter((line) => line.includes("message quarantined"));
    const reasons = warnings.map((line): string => JSON.parse(line).reason);
    expect(reasons.toSorted()).toEqual([...new Set(kept.map(({ reason }): string => reason))].toSorted());
    // Names with control characters are in there, too.
    expect(printed()).toContain("\\u009b1A\\u202e\\u2028");
  }, 5_000);
  expect(printed()).not.toMatch(/[\u007f-\u009f\u2028\u202e]/);
  expect(printed()).not.toContain("unavailable");
});

test("many runs of a publisher that lack thousands of components, all at once, fit into little memory", async () => {
  const { amqpUrl, redisDb, subscriber } = await freshEnvironment();
  const redis = new Redis({ ...inject("redis"), db: redisDb });
  onTestFinished(() => redis.disconnect());
  const channel = await channelTo(amqpUrl);
  const publish = (body: Buffer) => channel.publish(EXCHANGE, ROUTING_KEY, body);
  // As in a small container.
  startBundle("subscriber", { ...subscriber, NODE_OPTIONS: "--max-old-space-size=96" });

  const nowMs = Date.now();
  const component = (name: string, sinceMs = nowMs) =>
    ({ kind: "service", name, state: "up", sinceMs, observedAtMs: nowMs }) as const;
  publish(heartbeat({ components: Array.from({ length: 7_000 }, (_, index) => component(`c${index}`)) }));
  const runs = 45;
  for (let run = 0; run < runs; run += 1) {
    const parts = { bootId: `late-${run}`, sentAtMs: nowMs - 1_000 * (run + 1), cause: "backfill" } as const;
    publish(heartbeat({ ...parts, components: [component(`late-${run}`, parts.sentAtMs)] }));
  }
  await channel.waitForConfirms();
  await vi.waitFor(
    async () => {
      const entries = await redis.xrange("heartbeat:{tsd}:events", "-", "+");
      const late = entries.filter(([, [, , , name, , state]]) => name?.startsWith("late-") && state === "up");
      expect(late).toHaveLength(runs);
    },
    { timeout: 30_000, interval: 500 },
  );
});
