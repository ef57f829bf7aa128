import { readFileSync } from "node:fs";
import { encodeHeartbeat, type Heartbeat } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { formatUpstreamTimestamp } from "@pipeline-heartbeat/shared/timestamp.ts";
import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import type { Redis } from "ioredis";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { intake } from "../src/intake.ts";
import type { Store } from "../src/store.ts";
import { verdict } from "../src/verdict.ts";
import { connected } from "./heartbeats.ts";
import { askReader } from "./ask-reader.ts";
import { freshStore } from "./fresh-store.ts";

const captured = readFileSync(
  new URL("../../shared/test/vectors/upstream-messages.jsonl", import.meta.url),
  "utf8",
)
  .trimEnd()
  .split("\n");

/** A captured message with its times moved to now: old news gives the reader no ok key. */
function recent(line: string): Buffer {
  const now = formatUpstreamTimestamp(Date.now());
  return Buffer.from(line.replaceAll(/\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} UTC/g, now));
}

const never = new AbortController().signal;
const strict = { expectedSites: [], unknownAs: "fail" as const };
const CAPTURED_MS = Date.UTC(2026, 10, 22, 11, 22, 20);

/** An intake with what it logs at info and above. */
function startIntake(store: Store, receivedAtMs = CAPTURED_MS, isRedelivered = false) {
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
  const options = { rules: { expectedIntervalMs: 60_000, silenceFactor: 2.5 }, defaultSite: "default" };
  const outage = outageLog("redis", log);
  const started = intake({ ...options, store, clockSetAtMs: () => 0, log, outage });
  return {
    take: (bodies: readonly Buffer[], lost: AbortSignal) =>
      started.take(
        bodies.map((body) => ({ body, receivedAtMs, hasWaited: isRedelivered, isRedelivered })),
        lost,
      ),
    failure: () => started.failure,
    lines,
  };
}

function message(parts: Partial<Heartbeat>): Buffer {
  const sentAtMs = parts.sentAtMs ?? CAPTURED_MS;
  const heartbeat: Heartbeat = {
    site: "tsd",
    bootId: "boot",
    sequence: 1,
    startedAtMs: sentAtMs,
    sentAtMs,
    uptimeMs: 1,
    intervalMs: 60_000,
    cause: "interval",
    hosts: [],
    queues: [],
    services: [],
    components: [{ kind: "service", name: "db", state: "up", observedAtMs: sentAtMs }],
    ...parts,
  };
  return encodeHeartbeat(heartbeat, 2);
}

describe("intake", () => {
  test.each(captured.map((line, index) => ({ line, index })))(
    "takes in message $index of upstream, and the reader hears the truth",
    async ({ line }) => {
      const { store, redis } = await freshStore();
      await startIntake(store, Date.now()).take([recent(line)], never);
      const [record] = (await store.loadAll()).records;
      const isAllUp = (record?.components ?? []).every(({ state }) => state === "up");
      expect(record?.site).toBe("default");
      const isOk = isAllUp && record?.components.length !== 0;
      expect((await askReader(redis)).http).toBe(isOk ? 200 : 503);
      expect(await redis.llen("heartbeat:rejected")).toBe(0);
    },
  );

  test("quarantines what is no heartbeat with its reason, logs it once, and applies the next", async () => {
    const { store, redis } = await freshStore();
    const { take, lines } = startIntake(store);
    await take([Buffer.from("garbage"), Buffer.from("garbage"), Buffer.from("{}"), message({})], never);
    const rejected = await redis.lrange("heartbeat:rejected", 0, -1);
    expect(rejected.map((line) => JSON.parse(line).head)).toEqual(["{}", "garbage", "garbage"]);
    expect(lines.filter((line) => line.includes('"not JSON"'))).toHaveLength(1);
    expect(lines.filter((line) => line.includes("not a heartbeat"))).toHaveLength(1);
    expect((await store.loadAll()).records).toMatchObject([{ site: "tsd" }]);
  });

  test("a batch gives the same as its messages one by one, also when it comes twice", async () => {
    const bodies = [1, 2, 3, 4].flatMap((sequence) => [
      message({ sequence, sentAtMs: CAPTURED_MS + sequence }),
      message({ site: "other", sequence, sentAtMs: CAPTURED_MS + sequence }),
    ]);
    const inOne = await freshStore();
    const oneByOne = await freshStore();
    await startIntake(inOne.store).take(bodies, never);
    await startIntake(inOne.store).take(bodies, never);
    for (const body of bodies) await startIntake(oneByOne.store).take([body], never);
    const sorted = async (store: Store) =>
      (await store.loadAll()).records.toSorted((a, b) => (a.site < b.site ? -1 : 1));
    expect(await sorted(inOne.store)).toEqual(await sorted(oneByOne.store));
    expect((await inOne.store.loadAll()).records).toMatchObject([{ sequence: 4 }, { sequence: 4 }]);
  });

  test("values are stored as they were sent, also a name such as every object has, and are no change", async () => {
    const { store, redis } = await freshStore();
    const { take, lines } = startIntake(store);
    const db = { kind: "service", name: "db", state: "up", sinceMs: CAPTURED_MS } as const;
    const bodyWith = (sequence: number, values: Readonly<Record<string, number>>) => {
      const sentAtMs = CAPTURED_MS + sequence;
      const components = [
        { ...db, observedAtMs: sentAtMs, values, severity: "warn", because: "queue:q" } as const,
      ];
      return message({ sequence, sentAtMs, components });
    };
    await take([bodyWith(1, { days_left: 12.4 })], never);
    const events = await redis.xlen("heartbeat:{tsd}:events");
    const logged = lines.length;
    const values = {
      days_left: 0.1234567890123456,
      free_bytes: 123456789012345,
      below: -1e15,
      constructor: 3,
    };
    await take([bodyWith(2, values)], never);
    const [record] = (await store.loadAll()).records;
    expect(record?.components).toMatchObject([{ values, severity: "warn", because: "queue:q" }]);
    expect(record?.components[0]?.sinceMs).toBe(CAPTURED_MS);
    expect(await redis.xlen("heartbeat:{tsd}:events")).toBe(events);
    expect(lines).toHaveLength(logged);
  });

  test("two subscribers at once end with the newest heartbeat", async () => {
    const { store } = await freshStore();
    const messages = Array.from({ length: 30 }, (_, index) => message({ sequence: index + 1 }));
    const [one, other] = [startIntake(store), startIntake(store)];
    await Promise.all(messages.map((body, index) => (index % 2 ? one : other).take([body], never)));
    expect((await store.loadAll()).records).toMatchObject([{ sequence: 30 }]);
  });

  test("a site too many is quarantined, the known ones go on", async () => {
    const { store, redis } = await freshStore({ maxSites: 1 });
    await startIntake(store).take([message({ site: "a" }), message({ site: "b" })], never);
    await startIntake(store).take([message({ site: "a", sequence: 2 })], never);
    expect((await store.loadAll()).records).toMatchObject([{ site: "a", sequence: 2 }]);
    expect(await redis.lindex("heartbeat:rejected", 0)).toContain("MAX_SITES");
  });

  describe("back-fill", () => {
    const late = (
      sequence: number,
      state: "up" | "down",
      sinceMs: number,
      parts: Partial<Heartbeat> = {},
    ) => {
      const components = [{ kind: "service", name: "db", state, sinceMs, observedAtMs: sinceMs }] as const;
      return message({ sequence, sentAtMs: sinceMs + 1, cause: "backfill", components, ...parts });
    };
    const eventsOf = async (redis: Redis) => {
      const entries = await redis.xrange("heartbeat:{tsd}:events", "-", "+");
      return entries.map(([, [, , , name, , state, , since]]) => `${name} ${state} ${since}`);
    };

    test("adds what happened, with its times, and changes nothing that is", async () => {
      const { store, redis } = await freshStore();
      const { take } = startIntake(store);
      await take([message({ sequence: 9 })], never);
      const before = (await store.load("tsd")).record;
      const told = [late(7, "down", CAPTURED_MS - 9_000), late(8, "down", CAPTURED_MS - 9_000)];
      await take(told, never);
      await take(told, never);
      const after = (await store.load("tsd")).record;
      expect({ ...after, boots: before?.boots }).toEqual(before);
      const at = new Date(CAPTURED_MS - 9_000).toISOString();
      expect(await eventsOf(redis)).toEqual([
        expect.stringMatching(/^db up/),
        expect.stringMatching(/^tsd fresh/),
        `db down ${at}`,
      ]);
      expect(await redis.llen("heartbeat:rejected")).toBe(0);
    });

    test("of a site of which nothing else is known is kept, and says nothing about how it is", async () => {
      const { store, redis } = await freshStore();
      const { take } = startIntake(store);
      await take([late(7, "up", CAPTURED_MS - 9_000)], never);
      expect(await store.loadAll()).toEqual({ records: [], lost: ["tsd"] });
      expect(verdict(await store.loadAll(), CAPTURED_MS, strict, connected).isHealthy).toBe(false);
      await take([late(9, "up", CAPTURED_MS - 9_000, { cause: "interval" })], never);
      expect(verdict(await store.loadAll(), CAPTURED_MS, strict, connected).isHealthy).toBe(true);
      expect(await eventsOf(redis)).toEqual([
        expect.stringMatching(/^db up/),
        expect.stringMatching(/^tsd fresh/),
      ]);
    });

    test("brings no forgotten site back, and none too many in", async () => {
      const { store, redis } = await freshStore({ maxSites: 1 });
      const { take } = startIntake(store);
      await take([message({ sequence: 9 })], never);
      await store.forget(await store.load("tsd"), "tsd", CAPTURED_MS, []);
      await take([late(7, "down", CAPTURED_MS - 9_000)], never);
      expect(await store.loadAll()).toEqual({ records: [], lost: [] });
      expect(await eventsOf(redis)).toEqual([]);
      await take([message({ site: "a" }), late(7, "down", CAPTURED_MS - 9_000, { site: "b" })], never);
      expect(await store.loadAll()).toMatchObject({ records: [{ site: "a" }], lost: [] });
      expect(await redis.lindex("heartbeat:rejected", 0)).toContain("MAX_SITES");
    });
  });

  describe("a heartbeat that was taken in before", () => {
    test.each([
      { what: "in another batch", second: [message({})], rejected: 1 },
      { what: "twice in another batch", second: [message({}), message({})], rejected: 2 },
      { what: "handed out again by the broker", second: [message({})], isRedelivered: true, rejected: 0 },
      { what: "sent out of the buffer again", second: [message({ cause: "backfill" })], rejected: 0 },
      {
        what: "said again by a publisher that got no confirm",
        second: [message({ sentAtMs: CAPTURED_MS + 1 })],
        rejected: 0,
      },
    ])("is quarantined as a replay $rejected times, and never applied: $what", async (given) => {
      const { second, isRedelivered = false, rejected } = given;
      const { store, redis } = await freshStore();
      await startIntake(store).take([message({})], never);
      const before = (await store.load("tsd")).record;
      await startIntake(store, CAPTURED_MS, isRedelivered).take(second, never);
      const after = (await store.load("tsd")).record;
      expect({ ...after, boots: before?.boots }).toEqual(before);
      const reasons = await redis.lrange("heartbeat:rejected", 0, -1);
      expect(reasons).toHaveLength(rejected);
      for (const reason of reasons) expect(reason).toContain("replayed");
    });

    test("is applied once when it is twice in a batch", async () => {
      const { store, redis } = await freshStore();
      await startIntake(store).take([message({}), message({})], never);
      expect((await store.loadAll()).records).toHaveLength(1);
      expect(await redis.llen("heartbeat:rejected")).toBe(1);
    });

    test("writes nothing as upstream either", async () => {
      const { store, redis } = await freshStore({ readerKeys: "upstream" });
      const hosts = [{ name: "db", state: "up", observedAtMs: CAPTURED_MS }] as const;
      await startIntake(store).take([message({ hosts })], never);
      expect(await redis.del("service:db:ok")).toBe(1);
      await startIntake(store).take([message({ hosts })], never);
      expect(await redis.exists("service:db:ok")).toBe(0);
    });

    test("is no replay in format 1, whose times have whole seconds", async () => {
      const { store, redis } = await freshStore();
      const bodies = captured.slice(0, 1).map(recent);
      await startIntake(store).take([...bodies, ...bodies], never);
      expect(await redis.llen("heartbeat:rejected")).toBe(0);
    });
  });

  test("holds messages while the store is away, tells so once, and applies them when it is back", async () => {
    const { store, redis } = await freshStore();
    await store.ping();
    const taking = startIntake(store);
    redis.options.enableOfflineQueue = false;
    redis.disconnect(true);
    await taking.take([message({})], never);
    expect((await store.loadAll()).records).toMatchObject([{ site: "tsd" }]);
    expect(taking.lines.filter((line) => line.includes("redis unavailable"))).toHaveLength(1);
    expect(taking.failure()).toBeUndefined();
  });

  test("accuses nobody when the connection to the broker is lost: the messages are somebody else's by then", async () => {
    const { store, redis } = await freshStore();
    await startIntake(store).take([message({})], never);
    const lost = AbortSignal.abort();
    const late = startIntake(store);
    await expect(late.take([message({}), Buffer.from("no heartbeat")], lost)).rejects.toThrow(/abort/i);
    expect(await redis.exists("heartbeat:rejected")).toBe(0);
    await late.take([Buffer.from("no heartbeat")], never);
    expect(await redis.llen("heartbeat:rejected")).toBe(1);
  });

  test("lets go of what it holds when the connection to the broker is lost", async () => {
    const { store, redis } = await freshStore();
    redis.options.enableOfflineQueue = false;
    redis.disconnect();
    const lost = new AbortController();
    setImmediate(() => lost.abort());
    await expect(startIntake(store).take([message({})], lost.signal)).rejects.toThrow(/abort/i);
  });
});
