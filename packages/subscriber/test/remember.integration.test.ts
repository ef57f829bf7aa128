import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import { rememberingStore } from "../src/remember.ts";
import type { Store } from "../src/store.ts";
import { askReader } from "./ask-reader.ts";
import { freshStore } from "./fresh-store.ts";
import { component, heartbeat, receipt, rules } from "./heartbeats.ts";

const nowMs = Date.now();

async function hear(store: Store, site: string, sequence: number, state: "up" | "down"): Promise<void> {
  const before = await store.load(site);
  const components = [component({ name: `db-${site}`, state, observedAtMs: nowMs })];
  const message = heartbeat({ site, sequence, sentAtMs: nowMs, components });
  const { record } = applyHeartbeat(before.record, message, site, receipt(nowMs + sequence), rules);
  if (!record) throw new Error("not applied");
  expect(await store.commit(before, record, [])).toBe("committed");
}

describe("when Redis has lost its data", () => {
  test("all sites are written again, and the reader hears of the one that is down", async () => {
    const { store: plain, redis } = await freshStore();
    const { store, memory } = rememberingStore(plain);
    await memory.keepStore();
    await hear(store, "a", 1, "up");
    await hear(store, "b", 1, "down");
    const before = await store.loadAll();
    await redis.flushdb();
    await memory.keepStore();
    expect((await store.loadAll()).records.toSorted((a, b) => (a.site < b.site ? -1 : 1))).toEqual(
      before.records.toSorted((a, b) => (a.site < b.site ? -1 : 1)),
    );
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { "db-a": "OK", "db-b": "NOT_OK" } });
  });

  test("a heartbeat that comes first goes on from what is remembered", async () => {
    const { store: plain, redis } = await freshStore();
    const { store, memory } = rememberingStore(plain);
    await hear(store, "a", 1, "down");
    await redis.flushdb();
    await hear(store, "a", 2, "up");
    await memory.keepStore();
    const [record] = (await store.loadAll()).records;
    expect(record).toMatchObject({ sequence: 2, components: [{ state: "up", lastFailedMs: nowMs }] });
  });

  test("what another subscriber has written since is not overwritten", async () => {
    const { store: plain, redis } = await freshStore();
    const one = rememberingStore(plain);
    const other = rememberingStore(plain);
    await hear(one.store, "a", 1, "up");
    await one.memory.keepStore();
    await other.memory.keepStore();
    await redis.flushdb();
    await one.memory.keepStore();
    await hear(one.store, "a", 2, "down");
    await other.memory.keepStore();
    expect((await plain.loadAll()).records).toMatchObject([{ sequence: 2 }]);
  });

  test.each([
    { what: "one is gone from it", lose: ["SREM", "heartbeat:sites", "dead"] },
    { what: "it is evicted", lose: ["DEL", "heartbeat:sites"] },
    { what: "somebody else writes there", lose: ["SET", "heartbeat:sites", "x"] },
  ] as const)(
    "of the list of sites alone, as $what, a site that says no more is listed again",
    async ({ lose }) => {
      const { store: plain, redis } = await freshStore();
      const { store, memory } = rememberingStore(plain);
      await memory.keepStore();
      await hear(store, "dead", 1, "down");
      await hear(store, "live", 1, "up");
      await memory.keepStore();
      const [command, ...given] = lose;
      await redis.call(command, ...given);
      await hear(store, "live", 2, "up");
      expect(await memory.keepStore()).toEqual(["dead"]);
      const { records, lost } = await store.loadAll();
      expect(records.map(({ site }) => site).toSorted()).toEqual(["dead", "live"]);
      expect(lost).toEqual([]);
      await memory.keepStore();
      expect(await memory.keepStore()).toEqual([]);
    },
  );

  test("an older copy of the data, as a backup has it, gives way to what is remembered", async () => {
    const { store: plain, redis } = await freshStore();
    const { store, memory } = rememberingStore(plain);
    await hear(store, "a", 1, "up");
    const backup = await redis.hgetall("heartbeat:{a}:site");
    const generation = (await redis.get("heartbeat:generation")) ?? "";
    await memory.keepStore();
    await hear(store, "a", 2, "down");
    await memory.keepStore();
    await redis.hset("heartbeat:{a}:site", backup);
    await redis.set("heartbeat:generation", generation);
    expect(await memory.keepStore()).toEqual(["a"]);
    expect(await askReader(redis)).toMatchObject({ http: 503 });
  });

  test("what was committed after the last look, and lost by a restart, is written again", async () => {
    const { store: plain, redis } = await freshStore();
    const { store, memory } = rememberingStore(plain);
    await hear(store, "a", 1, "up");
    await memory.keepStore();
    await memory.keepStore();
    const copy = await redis.hgetall("heartbeat:{a}:site");
    const generation = (await redis.get("heartbeat:generation")) ?? "";
    await hear(store, "a", 2, "down");
    await redis.hset("heartbeat:{a}:site", copy);
    await redis.set("heartbeat:generation", generation);
    const ready = once(redis, "ready");
    redis.disconnect(true);
    await ready;
    expect(await memory.keepStore()).toEqual(["a"]);
    expect(await askReader(redis)).toMatchObject({ http: 503 });
  });

  test("sites that are not well are written first", async () => {
    const { store: plain, redis } = await freshStore();
    const { store, memory } = rememberingStore(plain);
    await memory.keepStore();
    await hear(store, "a", 1, "up");
    await hear(store, "b", 1, "down");
    await hear(store, "c", 1, "up");
    await redis.flushdb();
    expect(await memory.keepStore()).toEqual(["b", "a", "c"]);
  });
});

test("the reader's keys are written at the start, whatever became of them before", async () => {
  const { store: plain, redis } = await freshStore();
  await hear(plain, "a", 1, "down");
  await redis.del("service:db-a:not_ok");
  await rememberingStore(plain).memory.keepStore();
  expect(await askReader(redis)).toMatchObject({ http: 503, services: { "db-a": "NOT_OK" } });
});

test("a heartbeat that comes during a pass is not taken for a loss", async () => {
  const { store: plain } = await freshStore();
  let afterLoadAll = async () => {};
  const overtaken = async () => {
    const all = await plain.loadAll();
    await afterLoadAll();
    return all;
  };
  const { store, memory } = rememberingStore({ ...plain, loadAll: overtaken });
  await memory.keepStore();
  await hear(store, "a", 1, "up");
  afterLoadAll = async () => {
    await hear(store, "a", 2, "up");
    await hear(store, "new", 1, "up");
  };
  expect(await memory.keepStore()).toEqual([]);
});

test("a pass over a store in which nothing happened writes nothing", async () => {
  const { store: plain, redis } = await freshStore();
  const { store, memory } = rememberingStore(plain);
  await hear(store, "a", 1, "up");
  await memory.keepStore();
  await memory.keepStore();
  const generation = await redis.get("heartbeat:generation");
  await memory.keepStore();
  expect(await redis.get("heartbeat:generation")).toBe(generation);
});

test.each([
  { what: "of another run", boots: ["one", "two"], format: 2, sequences: [7, 1], earlierMs: 1 },
  { what: "in format 1", boots: ["one", "one"], format: 1, sequences: [nowMs, nowMs + 1_000], earlierMs: 1 },
  {
    what: "by a clock behind",
    boots: ["one", "one"],
    format: 1,
    sequences: [nowMs, nowMs + 1_000],
    earlierMs: 9_000,
  },
] as const)(
  "what another subscriber received earlier and stored later stays, $what",
  async ({ boots, format, sequences, earlierMs }) => {
    const { store: plain } = await freshStore();
    const [one, other] = [rememberingStore(plain), rememberingStore(plain)];
    await one.memory.keepStore();
    const states = ["up", "down"] as const;
    for (const [index, { store }] of [one, other].entries()) {
      const before = await store.load("tsd");
      const components = [component({ state: states[index] ?? "up", sinceMs: nowMs + index })];
      const [bootId, sequence] = [boots[index] ?? "", sequences[index] ?? 0];
      const message = heartbeat({ format, bootId, sequence, sentAtMs: nowMs + index, components });
      const { record } = applyHeartbeat(
        before.record,
        message,
        "tsd",
        receipt(nowMs + 100 - index * earlierMs),
        rules,
      );
      expect(record && (await store.commit(before, record, []))).toBe("committed");
    }
    expect(await one.memory.keepStore()).toEqual([]);
    expect((await plain.loadAll()).records).toMatchObject([{ components: [{ state: "down" }] }]);
  },
);
