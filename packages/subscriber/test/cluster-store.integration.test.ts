import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "ioredis";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { ClusterNode } from "../../../test/brokers/redis-cluster.ts";
import { applyHeartbeat } from "../src/apply.ts";
import { applySilence } from "../src/passing-time.ts";
import { rememberingStore } from "../src/remember.ts";
import type { Store } from "../src/store.ts";
import { freshClusterStore } from "./fresh-cluster.ts";
import { component, heartbeat, receipt, rules } from "./heartbeats.ts";

/** What every method of the store keeps to, and how late a busy machine may tell of it. */
const IN_TIME_MS = 2_000 + 300;
const nothing = { version: 0, record: undefined, forgottenAtMs: undefined };
const startMs = Date.now();
let sequence = 0;

async function hear(store: Store, site: string) {
  sequence += 1;
  const before = await store.load(site);
  const message = heartbeat({ site, sequence, sentAtMs: startMs, components: [component({})] });
  const { record } = applyHeartbeat(before.record, message, site, receipt(startMs), rules);
  if (!record) throw new Error("not applied");
  expect(await store.commit(before, record, [])).toBe("committed");
  return record;
}

async function slotOf(redis: Cluster, key: string): Promise<number> {
  return await redis.cluster("KEYSLOT", key);
}

const isIn = (slot: number, { slots }: ClusterNode) => slots.first <= slot && slot <= slots.last;

/** A site whose record is kept by this node. */
async function siteAt(redis: Cluster, node: ClusterNode): Promise<string> {
  for (let number = 0; ; number += 1) {
    const site = `site-${number}`;
    if (isIn(await slotOf(redis, `heartbeat:{${site}}:site`), node)) return site;
  }
}

/** A node that keeps none of the indexes. */
async function nodeWithoutIndexes(redis: Cluster, nodes: readonly ClusterNode[]): Promise<ClusterNode> {
  const indexes = ["heartbeat:sites", "heartbeat:deadlines", "heartbeat:generation"];
  const slots = await Promise.all(indexes.map((key) => slotOf(redis, key)));
  const found = nodes.find((node) => !slots.some((slot) => isIn(slot, node)));
  if (!found) throw new Error("the indexes are on all nodes");
  return found;
}

test("a site is written wherever its slot has moved to meanwhile", async () => {
  const { store, redis, nodes } = await freshClusterStore();
  const [from, to] = nodes;
  if (!from || !to) throw new Error("no nodes");
  const site = await siteAt(redis, from);
  const slot = await slotOf(redis, `heartbeat:{${site}}:site`);
  async function move(target: ClusterNode): Promise<void> {
    const id = String(await target.command("CLUSTER", "MYID"));
    for (const { command } of [target, ...nodes]) await command("CLUSTER", "SETSLOT", slot, "NODE", id);
    await target.command("CLUSTER", "BUMPEPOCH");
  }
  await store.load(site);
  await move(to);
  onTestFinished(async () => {
    await to.command("FLUSHALL");
    await move(from);
  });
  const record = await hear(store, site);
  expect(await to.command("EXISTS", `heartbeat:{${site}}:site`)).toBe(1);
  expect(await store.loadAll()).toEqual({ records: [record], lost: [] });
});

describe("a commit that is interrupted", () => {
  /** Has the store fail where it needs the command, until the returned function is called. */
  async function forbid(command: string, nodes: readonly ClusterNode[]): Promise<() => Promise<void>> {
    const set = async (rule: string) => {
      for (const node of nodes) await node.command("ACL", "SETUSER", "default", rule);
    };
    onTestFinished(() => set(`+${command}`));
    await set(`-${command}`);
    return () => set(`+${command}`);
  }

  test("before the record is written leaves a site of which it is known that something is lost", async () => {
    const { store, redis, nodes } = await freshClusterStore();
    const allow = await forbid("zadd", nodes);
    await expect(hear(store, "tsd")).rejects.toThrow(/can't run this command|ACL failure/);
    expect(await store.loadAll()).toEqual({ records: [], lost: ["tsd"] });
    expect(await redis.exists("heartbeat:{tsd}:site")).toBe(0);
    await allow();
    const record = await hear(store, "tsd");
    expect(await store.loadAll()).toEqual({ records: [record], lost: [] });
    expect(await store.due(record.sweepAtMs + 1)).toEqual(["tsd"]);
  });

  test("after the record is written leaves a site that the sweep comes to in time", async () => {
    const { store, redis, nodes } = await freshClusterStore();
    const record = await hear(store, "tsd");
    const before = await store.load("tsd");
    const silent = applySilence(record, record.deadlineMs + 1);
    const allow = await forbid("incr", nodes);
    await expect(store.commit(before, silent, [])).rejects.toThrow(/can't run this command|ACL failure/);
    // The other one of the last two steps may have been done.
    await redis.zadd("heartbeat:deadlines", record.sweepAtMs, "tsd");
    expect((await store.load("tsd")).record).toEqual(silent);
    expect(await store.due(silent.sweepAtMs + 1)).toEqual(["tsd"]);
    await allow();
    await hear(store, "tsd");
    expect(await store.due(record.sweepAtMs)).toEqual([]);
  });
});

test.each(["sites", "deadlines", "generation", "{tsd}:site", "{tsd}:events"])(
  "what somebody else wrote to heartbeat:%s is mended with the next heartbeat",
  async (key) => {
    const { store, redis } = await freshClusterStore();
    await hear(store, "tsd");
    await redis.set(`heartbeat:${key}`, "x");
    const record = await hear(store, "tsd");
    expect(await store.loadAll()).toEqual({ records: [record], lost: [] });
    expect(await store.due(record.sweepAtMs + 1)).toEqual(["tsd"]);
    expect(Number(await redis.get("heartbeat:generation"))).toBeGreaterThan(0);
  },
);

test("whoever is interrupted while a site is forgotten leaves no lost site behind", async () => {
  const { store, redis } = await freshClusterStore();
  await hear(store, "tsd");
  const record = await hear(store, "other");
  await store.forget(await store.load("tsd"), "tsd", startMs, []);
  await redis.sadd("heartbeat:sites", "tsd");
  await redis.zadd("heartbeat:deadlines", 1, "tsd");
  expect(await store.loadAll()).toEqual({ records: [record], lost: [] });
  expect(await redis.smembers("heartbeat:sites")).toEqual(["other"]);
  expect(await store.due(2)).toEqual([]);
});

test("a site that is heard again while others find it forgotten is listed", async () => {
  const { store, redis } = await freshClusterStore();
  await hear(store, "tsd");
  for (let round = 0; round < 100; round += 1) {
    await store.forget(await store.load("tsd"), "tsd", startMs, []);
    await redis.sadd("heartbeat:sites", "tsd");
    const [record] = await Promise.all([hear(store, "tsd"), ...Array.from({ length: 5 }, store.loadAll)]);
    expect(await store.loadAll()).toEqual({ records: [record], lost: [] });
    expect(await store.due(record.sweepAtMs + 1)).toEqual(["tsd"]);
  }
});

test("MAX_SITES holds for those who come at the same time", async () => {
  const { store } = await freshClusterStore({ maxSites: 5 });
  const record = await hear(store, "first");
  const commits = Array.from({ length: 30 }, (_, index) =>
    store.commit(nothing, { ...record, site: `site-${index}` }, []),
  );
  const results = await Promise.all(commits);
  expect(results.filter((result) => result === "committed")).toHaveLength(4);
  expect((await store.loadAll()).records).toHaveLength(5);
});

test("while a node is away everything fails in time, and what it has lost is written again when it is back", async () => {
  const { store: plain, redis, nodes, problems } = await freshClusterStore();
  const node = await nodeWithoutIndexes(redis, nodes);
  const { store, memory } = rememberingStore(plain);
  await memory.keepStore();
  const lost = await hear(store, await siteAt(redis, node));
  const others = nodes.filter((other) => other !== node);
  for (const other of others) await hear(store, await siteAt(redis, other));
  await memory.keepStore();

  await node.kill();
  const stopped = new AbortController();
  const attempts = attemptsUntil(stopped.signal, plain, lost.site);
  await vi.waitFor(
    () => expect(problems.join()).toContain(`nothing listens at 127.0.0.1:${node.port}`),
    5_000,
  );
  await vi.waitFor(async () => {
    const states = await Promise.all(others.map(({ command }) => command("CLUSTER", "INFO")));
    for (const state of states) expect(String(state)).toContain("cluster_state:fail");
  }, 15_000);
  await expect(plain.ping()).rejects.toThrow(/CLUSTERDOWN|not connected/);
  stopped.abort();
  const tookMs = await attempts;
  expect(Math.max(...tookMs)).toBeLessThan(IN_TIME_MS);
  expect(tookMs.length).toBeGreaterThan(3);

  await node.restart();
  await vi.waitFor(async () => expect(await memory.keepStore()).toEqual([lost.site]), {
    timeout: 10_000,
    interval: 400,
  });
  expect((await plain.load(lost.site)).record).toEqual(lost);
  expect((await plain.loadAll()).lost).toEqual([]);
});

test("one node that is full is noticed, whichever it is, though nothing is to be written", async () => {
  const { store, nodes } = await freshClusterStore();
  for (const { command } of nodes) {
    await store.ping();
    await command("CONFIG", "SET", "maxmemory", 1);
    await expect(store.ping()).rejects.toThrow("OOM");
    await command("CONFIG", "SET", "maxmemory", 0);
  }
});

/** How long each attempt to read everything took, whether it failed or not. */
async function attemptsUntil(signal: AbortSignal, store: Store, site: string): Promise<number[]> {
  const tookMs: number[] = [];
  while (!signal.aborted) {
    const startedMs = performance.now();
    await Promise.all([store.loadAll(), store.load(site), store.ping()]).catch(() => {});
    tookMs.push(performance.now() - startedMs);
    await sleep(50);
  }
  return tookMs;
}
