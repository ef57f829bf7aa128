import { describe, expect, test } from "vitest";
import { applySilence } from "../src/passing-time.ts";
import type { Store } from "../src/store.ts";
import { askReader } from "./ask-reader.ts";
import { freshClusterStore } from "./fresh-cluster.ts";
import { freshStore } from "./fresh-store.ts";
import { hear, startMs } from "./hear.ts";

const MINUTE_MS = 60_000;

async function fallSilent(store: Store, site: string): Promise<void> {
  const before = await store.load(site);
  if (!before.record) throw new Error("no such site");
  expect(await store.commit(before, applySilence(before.record, before.record.deadlineMs + 1), [])).toBe(
    "committed",
  );
}

const nothing = { version: 0, record: undefined, forgottenAtMs: undefined };

const stores = [
  { where: "on one server", freshStore },
  { where: "in a cluster", freshStore: freshClusterStore },
];

describe.each(stores)("records $where", ({ freshStore }) => {
  test("come back as they were committed", async () => {
    const { store } = await freshStore();
    const record = await hear(store, "tsd", [
      { name: "__proto__" },
      { kind: "queue", name: "ä\u0000\u2028'\"" },
    ]);
    expect((await store.load("tsd")).record).toEqual(record);
    expect((await store.loadAll()).records).toEqual([record]);
    expect(await store.load("other")).toEqual(nothing);
  });

  test("of two who read the same, only the first commits", async () => {
    const { store } = await freshStore();
    const first = await hear(store, "tsd", [{}]);
    const before = await store.load("tsd");
    expect(await store.commit(before, { ...first, sequence: 100 }, [])).toBe("committed");
    expect(await store.commit(before, { ...first, sequence: 200 }, [])).toBe("conflict");
    expect(await store.commit(nothing, { ...first, sequence: 300 }, [])).toBe("conflict");
    expect((await store.load("tsd")).record?.sequence).toBe(100);
  });

  test("a site too many is refused, a known one is not", async () => {
    const { store } = await freshStore({ maxSites: 1 });
    const record = await hear(store, "a", [{}]);
    expect(await store.commit(nothing, { ...record, site: "b" }, [])).toBe("full");
    await hear(store, "a", [{}]);
    expect((await store.loadAll()).records).toHaveLength(1);
  });

  test("sites are due after their deadline, and again and again once their silence is written", async () => {
    const { store } = await freshStore();
    const { deadlineMs } = await hear(store, "tsd", [{}]);
    expect(await store.due(deadlineMs)).toEqual([]);
    expect(await store.due(deadlineMs + 1)).toEqual(["tsd"]);
    await fallSilent(store, "tsd");
    expect(await store.due(deadlineMs + 1)).toEqual([]);
    expect(await store.due(deadlineMs + 60_002)).toEqual(["tsd"]);
  });

  test("a site that is forgotten is gone, unless somebody else changed it, and what was older stays out", async () => {
    const { store, redis } = await freshStore({ maxSites: 1 });
    const { deadlineMs } = await hear(store, "tsd", [{}]);
    const before = await store.load("tsd");
    await hear(store, "tsd", [{}]);
    expect(await store.forget(before, "tsd", startMs, [])).toBe(false);
    expect(await store.forget(await store.load("tsd"), "tsd", startMs, [])).toBe(true);
    expect(await store.loadAll()).toEqual({ records: [], lost: [] });
    expect(await store.due(deadlineMs + 1)).toEqual([]);
    expect(await store.load("tsd")).toEqual({ version: 3, record: undefined, forgottenAtMs: startMs });
    expect(await redis.exists("heartbeat:{tsd}:events")).toBe(0);
    await hear(store, "other", [{}]);
  });

  test("a forgotten site comes back with its next heartbeat", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{}]);
    await store.forget(await store.load("tsd"), "tsd", startMs, []);
    const record = await hear(store, "tsd", [{}]);
    expect(await store.loadAll()).toEqual({ records: [record], lost: [] });
    expect(await store.due(record.deadlineMs + 1)).toEqual(["tsd"]);
    expect(await redis.ttl("heartbeat:{tsd}:site")).toBe(-1);
  });

  test("the generation changes with every commit and every site that is forgotten", async () => {
    const { store } = await freshStore();
    const seen = new Set([await store.generation()]);
    expect([...seen]).toEqual([undefined]);
    await hear(store, "a", [{}]);
    seen.add(await store.generation());
    await hear(store, "b", [{}]);
    seen.add(await store.generation());
    await store.forget(await store.load("a"), "a", startMs, []);
    seen.add(await store.generation());
    expect(seen.size).toBe(4);
  });

  test("events are kept with the record, the oldest given up first", async () => {
    const { store, redis } = await freshStore();
    const record = await hear(store, "tsd", [{}]);
    const event = { kind: "service", name: "db", state: "up", sinceMs: startMs, reason: undefined } as const;
    const down = { ...event, state: "down", reason: "connection_refused" } as const;
    await store.commit(await store.load("tsd"), record, [event, down]);
    const entries = await redis.xrange("heartbeat:{tsd}:events", "-", "+");
    const since = ["since", new Date(startMs).toISOString()];
    expect(entries.map(([, fields]) => fields)).toEqual([
      ["kind", "service", "name", "db", "state", "up", ...since],
      ["kind", "service", "name", "db", "state", "down", ...since, "reason", "connection_refused"],
    ]);
  });

  test("what was told comes back as it was told, without what was withdrawn", async () => {
    const { store } = await freshStore();
    const record = await hear(store, "tsd", [{}]);
    const up = {
      kind: "service",
      name: "db",
      state: "up",
      sinceMs: startMs,
      reason: "x",
      bootId: "a",
    } as const;
    const gone = {
      ...up,
      state: "removed",
      sinceMs: startMs + 1,
      reason: undefined,
      bootId: undefined,
    } as const;
    const fresh = { ...up, kind: "site", state: "fresh" } as const;
    await store.commit(await store.load("tsd"), record, [up, gone, fresh]);
    const { events } = await store.loadHistory("tsd");
    expect(events).toEqual([up, gone].map((event) => ({ ...event, id: expect.any(String) })));
    const restated = [{ ...up, bootId: "b", reason: undefined }];
    const withdrawn = events.slice(1).map(({ id }) => id);
    await store.commit(await store.load("tsd"), record, [], { withdrawn, restated });
    expect(await store.loadHistory("tsd")).toEqual({ events: events.slice(0, 1), restated, givenUpToMs: 0 });
  });

  test.each([
    { components: 1, kept: 1_000 },
    { components: 300, kept: 1_200 },
  ])(
    "of a site with $components components $kept events are kept, and it is known up to when some are not",
    async ({ components, kept }) => {
      const { store } = await freshStore();
      const names = Array.from({ length: components }, (_, index) => ({ name: `c${index}` }));
      const record = await hear(store, "tsd", names);
      const event = (index: number) => {
        return {
          kind: "service",
          name: "db",
          state: "up",
          sinceMs: startMs + index,
          reason: undefined,
        } as const;
      };
      const commit = async (from: number, to: number) => {
        const events = Array.from({ length: to - from }, (_, index) => event(from + index));
        await store.commit(await store.load("tsd"), record, events);
      };
      await commit(10, 20);
      await commit(0, 10);
      await commit(20, kept);
      expect(await store.loadHistory("tsd")).toMatchObject({ givenUpToMs: 0 });
      await commit(kept, kept + 5);
      const history = await store.loadHistory("tsd");
      expect(history.events).toHaveLength(kept);
      expect(history.givenUpToMs).toBe(startMs + 14);
      await commit(2_000, 2_000 + kept + 7);
      expect((await store.loadHistory("tsd")).givenUpToMs).toBe(startMs + 2_006);
    },
  );

  test("an event of years to come that is given up keeps nothing of the present from being told", async () => {
    const { store } = await freshStore();
    const record = await hear(store, "tsd", [{}]);
    const event = { kind: "service", name: "db", state: "up", sinceMs: startMs, reason: undefined } as const;
    const ahead = { ...event, sinceMs: Date.UTC(2099, 1) };
    const commit = async (...events: (typeof event)[]) =>
      await store.commit(await store.load("tsd"), record, events);
    await commit(ahead, event);
    await commit(...Array.from({ length: 999 }, () => event));
    expect(await store.loadHistory("tsd")).toMatchObject({ givenUpToMs: 0 });
    await commit(ahead, ...Array.from({ length: 1_000 }, () => event));
    expect((await store.loadHistory("tsd")).givenUpToMs).toBe(startMs);
  });

  test("events of a site of which nothing else is known make it one of the lost, and there may be too many of them", async () => {
    const { store } = await freshStore({ maxSites: 1 });
    const event = { kind: "service", name: "db", state: "up", sinceMs: startMs, reason: undefined } as const;
    const corrections = { withdrawn: [], restated: undefined };
    expect(await store.commitEvents(nothing, "tsd", [event], corrections)).toBe("committed");
    expect(await store.commitEvents(nothing, "tsd", [event], corrections)).toBe("conflict");
    expect(await store.commitEvents(nothing, "b", [event], corrections)).toBe("full");
    expect(await store.loadAll()).toEqual({ records: [], lost: ["tsd"] });
    expect(await store.due(startMs + 1)).toEqual([]);
    const record = await hear(store, "tsd", [{}]);
    expect(await store.loadAll()).toEqual({ records: [record], lost: [] });
    expect((await store.loadHistory("tsd")).events).toHaveLength(1);
    await store.forget(await store.load("tsd"), "tsd", startMs, []);
    expect(await store.loadHistory("tsd")).toEqual({ events: [], restated: [], givenUpToMs: 0 });
  });

  test("one that cannot be read is as good as lost, and replaced by the next", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{}]);
    await redis.hset("heartbeat:{tsd}:site", "record", '{"site":"tsd"');
    expect(await store.loadAll()).toEqual({ records: [], lost: ["tsd"] });
    const record = await hear(store, "tsd", [{}]);
    expect(await store.loadAll()).toEqual({ records: [record], lost: [] });
  });

  test("quarantined messages are kept, the newest first, up to a limit", async () => {
    const { store, redis } = await freshStore();
    const origin = {
      exchange: "sda",
      routingKey: "key",
      messageId: undefined,
      userId: "hb-pub",
      bodyBytes: 1,
    };
    const rejected = Array.from({ length: 1_200 }, (_, index) => {
      const code = "not_a_heartbeat" as const;
      return { code, reason: `reason ${index}`, receivedAtMs: startMs, origin, head: "{" };
    });
    await store.quarantine(rejected);
    expect(await redis.llen("heartbeat:rejected")).toBe(1_000);
    const newest: unknown = JSON.parse((await redis.lindex("heartbeat:rejected", 0)) ?? "");
    const receivedAt = new Date(startMs).toISOString();
    expect(newest).toEqual({
      reason: "reason 1199",
      code: "not_a_heartbeat",
      receivedAt,
      ...origin,
      head: "{",
    });
  });
});

describe("the reader", () => {
  test("is told the truth as components go down and come back", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{ name: "db" }, { kind: "queue", name: "inbox" }]);
    expect(await askReader(redis)).toMatchObject({
      http: 200,
      services: { db: "OK" },
      queues: { inbox: "OK" },
    });

    await hear(
      store,
      "tsd",
      [
        { name: "db", state: "down" },
        { kind: "queue", name: "inbox" },
      ],
      startMs + MINUTE_MS,
    );
    expect(await askReader(redis)).toMatchObject({
      http: 503,
      services: { db: "NOT_OK" },
      queues: { inbox: "OK" },
    });
    expect(await redis.exists("service:db:ok")).toBe(0);

    await hear(store, "tsd", [{ name: "db" }, { kind: "queue", name: "inbox" }], startMs + 2 * MINUTE_MS);
    expect(await askReader(redis)).toMatchObject({ http: 200 });
    expect(await redis.get("service:db:not_ok"), "too young to be shown").toBe("1970-01-01 00:00:00 UTC");
  });

  test("sees the last failure once it is ten minutes old", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{ state: "down" }], startMs);
    await hear(store, "tsd", [{}], startMs + 10 * MINUTE_MS - 1_000);
    expect(await redis.get("service:db:not_ok")).toContain("1970");
    await hear(store, "tsd", [{}], startMs + 10 * MINUTE_MS);
    expect(await redis.get("service:db:not_ok")).not.toContain("1970");
    expect(await askReader(redis)).toMatchObject({ http: 200 });
  });

  test("says not ok for what could not be looked at", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{ state: "unknown" }]);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
  });

  test("says not ok by itself when nobody refreshes the ok key, a minute after the deadline", async () => {
    const { store, redis } = await freshStore();
    const { deadlineMs } = await hear(store, "tsd", [{}]);
    const expiresMs = Date.now() + (await redis.pttl("service:db:ok"));
    expect(Math.abs(expiresMs - (deadlineMs + MINUTE_MS))).toBeLessThan(1_000);
    expect(await redis.pttl("service:db:not_ok")).toBe(-1);
    await redis.del("service:db:ok");
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
  });

  test("old news gives it no ok key that outlives its deadline", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{}], startMs - 60 * MINUTE_MS);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
  });

  test("is not told OK by news that comes when its deadline has just passed", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{}], startMs - 2.5 * MINUTE_MS - 1_000, startMs);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
    await hear(store, "tsd", [{}], startMs);
    expect(await askReader(redis)).toMatchObject({ http: 200, services: { db: "OK" } });
  });

  test("is told of silence, with the deadline as the time, and of its end", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{}], startMs);
    await fallSilent(store, "tsd");
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
    const told = (await redis.get("service:db:not_ok")) ?? "";
    expect(Date.parse(told.replace(" UTC", "Z").replace(" ", "T"))).toBe(startMs + 2.5 * MINUTE_MS);
    await hear(store, "tsd", [{}], startMs + 5 * MINUTE_MS);
    expect(await askReader(redis)).toMatchObject({ http: 200 });
  });

  test("is told of a site that reports no component at all, until it reports one", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", []);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { "heartbeat-tsd": "NOT_OK" } });
    await hear(store, "tsd", [{}]);
    expect(await askReader(redis)).toMatchObject({ http: 200, services: { db: "OK" } });
    await hear(store, "tsd", []);
    expect(await askReader(redis)).toMatchObject({ http: 503 });
  });

  test("no longer sees a component that is gone, and keys of others are left alone", async () => {
    const { store, redis } = await freshStore();
    await redis.set("service:foreign:ok", "2026-01-01 10:00:00 UTC");
    await hear(store, "tsd", [{ name: "db" }, { name: "old", state: "down" }]);
    await hear(store, "tsd", [{ name: "db" }]);
    expect(await askReader(redis)).toMatchObject({ http: 200, services: { db: "OK", foreign: "OK" } });
    expect(await redis.keys("*old*")).toEqual([]);
  });

  test("of two sites with the same component sees the worst, and the other one when that is gone", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "a", [{ name: "db", state: "down" }]);
    await hear(store, "b", [{ name: "db" }]);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
    await hear(store, "a", [{ name: "other" }]);
    expect(await askReader(redis)).toMatchObject({ http: 200, services: { db: "OK", other: "OK" } });
  });

  test("sees a name with a colon with an underscore instead, as bad as the worst of the two", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{ name: "db:5432", state: "down" }, { name: "db_5432" }]);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db_5432: "NOT_OK" } });
  });

  test("is told that no site is known, until one is", async () => {
    const { store, redis } = await freshStore();
    await store.tellUnknownSites([], startMs);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { heartbeat: "NOT_OK" } });
    const told = await redis.get("service:heartbeat:not_ok");
    await store.tellUnknownSites([], startMs + MINUTE_MS);
    expect(await redis.get("service:heartbeat:not_ok"), "since when it is unknown").toBe(told);
    await hear(store, "tsd", [{}]);
    await store.tellUnknownSites([], startMs);
    expect(await askReader(redis)).toMatchObject({ http: 200, services: { db: "OK" } });
  });

  test("is told of each expected site that is unknown", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "a", [{}]);
    await store.tellUnknownSites(["a", "b"], startMs);
    expect(await askReader(redis)).toMatchObject({
      http: 503,
      services: { db: "OK", "heartbeat-b": "NOT_OK" },
    });
    await store.tellUnknownSites(["a"], startMs);
    expect(await askReader(redis)).toMatchObject({ http: 200 });
  });

  test("is told nothing where its keys are switched off", async () => {
    const { store, redis } = await freshStore({ readerKeys: "off" });
    await store.tellUnknownSites(["b"], startMs);
    await hear(store, "a", [{}]);
    expect([...(await redis.keys("service:*")), ...(await redis.keys("queue:*"))]).toEqual([]);
  });
});
