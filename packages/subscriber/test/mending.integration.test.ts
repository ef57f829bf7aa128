import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { RefusedError } from "../src/store.ts";
import { redisStore } from "../src/redis/store.ts";
import { askReader } from "./ask-reader.ts";
import { freshStore } from "./fresh-store.ts";
import { hear, startMs } from "./hear.ts";

describe("what somebody else wrote to a key of ours", () => {
  const db = "heartbeat:reader:service:db";
  test.each([
    { what: "the names' hash is a list", key: db, write: ["RPUSH", db, "x"] },
    { what: "a saying is no JSON", key: undefined, write: ["HSET", db, "other", "{"] },
    {
      what: "a saying lacks its time",
      key: undefined,
      write: ["HSET", db, "other", '{"ok":true,"expires":1}'],
    },
    { what: "a site is a text", key: "heartbeat:{tsd}:site", write: ["SET", "heartbeat:{tsd}:site", "x"] },
    {
      what: "a version is no number",
      key: undefined,
      write: ["HSET", "heartbeat:{tsd}:site", "version", "x"],
    },
    ...["inf", "nan", "0x10", "1.5"].map((version) => ({
      what: `a version is ${version}`,
      key: undefined,
      write: ["HSET", "heartbeat:{tsd}:site", "version", version],
    })),
    {
      what: "the events are a set",
      key: "heartbeat:{tsd}:events",
      write: ["SADD", "heartbeat:{tsd}:events", "x"],
    },
    { what: "the counter is no number", key: undefined, write: ["SET", "heartbeat:generation", "x"] },
    { what: "the sites are a text", key: "heartbeat:sites", write: ["SET", "heartbeat:sites", "x"] },
    {
      what: "the deadlines are a text",
      key: "heartbeat:deadlines",
      write: ["SET", "heartbeat:deadlines", "x"],
    },
  ])("is mended with the next heartbeat: $what", async ({ key, write }) => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{ name: "db" }]);
    const [command = "", ...given] = write;
    if (key !== undefined) await redis.del(key);
    await redis.call(command, ...given);
    const record = await hear(store, "tsd", [{ name: "db", state: "down" }]);
    expect(await store.loadAll()).toEqual({ records: [record], lost: [] });
    expect(await store.due(record.sweepAtMs + 1)).toEqual(["tsd"]);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
  });

  test("does not keep messages out of the quarantine", async () => {
    const { store, redis } = await freshStore();
    await redis.set("heartbeat:rejected", "x");
    const rejected = {
      code: "not_a_heartbeat",
      reason: "not JSON",
      receivedAtMs: startMs,
      head: "{",
    } as const;
    await store.quarantine([rejected]);
    expect(await redis.llen("heartbeat:rejected")).toBe(1);
  });

  test("makes a site lost, not all of them unreadable, and the reader is told", async () => {
    const { store, redis } = await freshStore();
    const record = await hear(store, "b", [{ name: "db" }]);
    await hear(store, "a", [{ name: "mq" }]);
    await redis.set("heartbeat:{a}:site", "x");
    expect(await store.loadAll()).toEqual({ records: [record], lost: ["a"] });
    await store.tellUnknownSites([], startMs);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { "heartbeat-a": "NOT_OK" } });
    await hear(store, "a", [{ name: "mq" }]);
    await store.tellUnknownSites([], startMs);
    expect(await askReader(redis)).toMatchObject({ http: 200 });
  });
});

test("what Redis refuses for itself is told apart from what it cannot do now", async () => {
  const { store, redis } = await freshStore();
  await hear(store, "tsd", [{}]);
  const stored = await store.load("tsd");
  if (!stored.record) throw new Error("nothing stored");
  const event = { kind: "service", name: "\ud800", state: "up", sinceMs: 0, reason: undefined } as const;
  await expect(store.commit(stored, stored.record, [event])).rejects.toThrow(RefusedError);
  const limited = await limitedUser(redis, "~*", "+@all", "-xadd");
  const forbidden = redisStore(limited, { maxSites: 1, readerKeys: "off" });
  await expect(forbidden.commit(stored, stored.record, [{ ...event, name: "db" }])).rejects.not.toThrow(
    RefusedError,
  );

  redis.disconnect();
  const away = redisStore(redis, { maxSites: 1, readerKeys: "off" });
  await expect(away.commit(stored, stored.record, [])).rejects.not.toThrow(RefusedError);
});

test("a user who may not write the reader's keys stores nothing that the reader is not told", async () => {
  const { store: whole, redis } = await freshStore();
  await hear(whole, "tsd", [{}]);
  const stored = await whole.load("tsd");
  if (!stored.record) throw new Error("nothing stored");
  await redis.flushdb();
  const limited = await limitedUser(redis, "~heartbeat:*", "+@all");
  const store = redisStore(limited, { maxSites: 1, readerKeys: "reader-safe" });
  await expect(store.commit({ ...stored, version: 0 }, stored.record, [])).rejects.toThrow(
    /can't access|ACL failure/,
  );
  expect(await store.loadAll()).toEqual({ records: [], lost: [] });
});

/** A connection of a user with these rules. */
async function limitedUser(redis: Redis, ...rules: string[]): Promise<Redis> {
  const username = `limited-${randomUUID()}`;
  await redis.call("ACL", "SETUSER", username, "on", "nopass", ...rules);
  const admin = redis.duplicate({ username: "default" });
  const limited = redis.duplicate({ username, password: "any" });
  onTestFinished(async () => {
    limited.disconnect();
    await admin.call("ACL", "DELUSER", username);
    admin.disconnect();
  });
  return limited;
}

describe("the reader", () => {
  test("finds no moment without a key when the last site is forgotten", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{}]);
    await store.forget(await store.load("tsd"), "tsd", startMs, ["tsd"]);
    const services = { heartbeat: "NOT_OK", "heartbeat-tsd": "NOT_OK" };
    expect(await askReader(redis)).toMatchObject({ http: 503, services });
    await hear(store, "tsd", [{}]);
    await store.tellUnknownSites(["tsd"], startMs);
    expect(await askReader(redis)).toMatchObject({ http: 200, services: { db: "OK" } });
  });

  test.each([600_000, -600_000])(
    "finds keys that expire by Redis's clock, from which ours differs by %i ms",
    async (aheadMs) => {
      const { store, redis } = await freshStore();
      const realNow = Date.now;
      const clock = vi.spyOn(Date, "now").mockImplementation(() => realNow() + aheadMs);
      onTestFinished(() => clock.mockRestore());
      await hear(store, "tsd", [{}], Date.now());
      const ttlMs = await redis.pttl("service:db:ok");
      expect(Math.abs(ttlMs - (150_000 + 60_000))).toBeLessThan(2_000);
    },
  );

  test("is told nothing any more of what no site reports, after another version or mode has run meanwhile", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{ name: "db" }, { name: "old", state: "down" }]);
    await hear(store, "gone", [{ name: "x" }]);
    await redis.srem("heartbeat:sites", "gone");
    await redis.del("heartbeat:{gone}:site");
    const off = redisStore(redis, { maxSites: 10, readerKeys: "off" });
    await hear(off, "tsd", [{ name: "db" }]);
    expect(await askReader(redis)).toMatchObject({ http: 503 });
    await store.reconcileReader();
    expect(await askReader(redis)).toMatchObject({ http: 200, services: { db: "OK" } });
    expect((await redis.keys("heartbeat:reader:*")).toSorted()).toEqual(["heartbeat:reader:service:db"]);
  });

  test("is told what is new while what was left behind is taken back", async () => {
    const { store, redis } = await freshStore();
    const off = redisStore(redis, { maxSites: 10, readerKeys: "off" });
    // More than a scan of Redis reads ahead.
    const old = Array.from({ length: 8_000 }, (_, i) => ({ name: `old${i}` }));
    await hear(store, "tsd", old);
    await hear(off, "tsd", [{ name: "db0" }]);
    let isOver = false;
    const reconciling = store.reconcileReader().then(() => (isOver = true));
    const ofSite: { name: string }[] = [];
    const keys: string[] = [];
    while (!isOver) {
      if (ofSite.length < 100) {
        const [name, other] = [`new${ofSite.length}`, `other${ofSite.length}`];
        ofSite.push({ name });
        await hear(store, "tsd", ofSite);
        await hear(store, other, [{ name: other }]);
        keys.push(`service:${name}:ok`, `service:${other}:ok`);
      }
      expect(await redis.exists(keys)).toBe(keys.length);
    }
    await reconciling;
    expect(keys).toHaveLength(200);
    expect(Object.keys((await askReader(redis)).services)).toHaveLength(200);
  });

  test.each(["upstream", "off"] as const)(
    "is not told of unknown sites by a subscriber in mode %s",
    async (readerKeys) => {
      const { store, redis } = await freshStore();
      await store.tellUnknownSites(["b"], startMs);
      await hear(store, "a", [{ name: "db", state: "down" }]);
      const other = redisStore(redis, { maxSites: 10, readerKeys });
      await other.reconcileReader();
      expect(await redis.keys("service:*")).toEqual(["service:db:not_ok"]);
      expect(await redis.keys("heartbeat:reader*")).toEqual([]);
    },
  );
});
