import { pino } from "pino";
import { describe, expect, test, vi } from "vitest";
import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import { rememberingStore } from "../src/remember.ts";
import type { Store } from "../src/store.ts";
import { runSweep, sweepOnce, type SweepOptions } from "../src/sweep.ts";
import { verdict } from "../src/verdict.ts";
import { askReader } from "./ask-reader.ts";
import { freshStore } from "./fresh-store.ts";
import { hear, startMs } from "./hear.ts";
import { connected } from "./heartbeats.ts";

const rules = { expectedSites: [], unknownAs: "fail" as const };
const log = pino({ level: "silent" });

function optionsFor(store: Store, nowMs = startMs): SweepOptions {
  return {
    store,
    memory: { keepStore: async () => [], sites: new Map() },
    expectedSites: [],
    defaultSite: "default",
    now: () => nowMs,
    clockSetBackAtMs: () => 0,
    log,
    outage: outageLog("redis", log),
    isStoreStuck: () => false,
    isCatchingUp: () => false,
  };
}

describe("the sweep", () => {
  test("writes a silence once, after the deadline, and /health says so from the deadline on", async () => {
    const { store, redis } = await freshStore();
    const { deadlineMs } = await hear(store, "tsd", [{}]);
    const sweepAt = async (atMs: number) => await sweepOnce(optionsFor(store, atMs));

    await sweepAt(deadlineMs);
    expect(await askReader(redis)).toMatchObject({ http: 200 });
    expect(verdict(await store.loadAll(), deadlineMs, rules, connected).isHealthy).toBe(true);
    expect(verdict(await store.loadAll(), deadlineMs + 1, rules, connected).isHealthy).toBe(false);

    const commit = vi.spyOn(store, "commit");
    await Promise.all([sweepAt(deadlineMs + 1), sweepAt(deadlineMs + 1)]);
    await sweepAt(deadlineMs + 1_000);
    const results = await Promise.all(commit.mock.results.map(({ value }) => value));
    expect(results.filter((result) => result === "committed")).toHaveLength(1);
    await redis.del("service:db:not_ok");
    await sweepAt(deadlineMs + 61_000);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
  });

  test("does not trust news from before its clock was set back, and of a silent site says nothing new", async () => {
    const { store, redis } = await freshStore();
    const { memory, store: remembering } = rememberingStore(store);
    await hear(remembering, "silent", [{ name: "other" }], startMs - 400_000);
    await hear(remembering, "before", [{}], startMs - 100_000);
    const setBackAtMs = startMs - 50_000;
    const after = await hear(remembering, "after", [{ name: "third" }], startMs - 40_000);
    const options = { ...optionsFor(remembering, startMs - 30_000), memory };
    await sweepOnce(options);
    expect(await askReader(redis)).toMatchObject({ services: { db: "OK", other: "NOT_OK", third: "OK" } });
    const silent = await store.load("silent");

    await sweepOnce({ ...options, clockSetBackAtMs: () => setBackAtMs });
    expect(await askReader(redis)).toMatchObject({
      services: { db: "NOT_OK", other: "NOT_OK", third: "OK" },
    });
    expect(await store.load("silent")).toEqual(silent);
    expect((await store.load("after")).record).toEqual(after);
    const { version } = await store.load("before");
    await sweepOnce({ ...options, clockSetBackAtMs: () => setBackAtMs });
    expect((await store.load("before")).version).toBe(version);
  });

  test("at the start takes back what a lost site said only when the reader knows that it is lost", async () => {
    const { store, redis } = await freshStore();
    await hear(store, "tsd", [{ state: "down" }]);
    await redis.del("heartbeat:{tsd}:site");
    const stop = new AbortController();
    const answers: unknown[] = [];
    const reconcileReader = async () => {
      answers.push(await askReader(redis));
      await store.reconcileReader();
      answers.push(await askReader(redis));
      stop.abort();
    };
    await runSweep(optionsFor({ ...store, reconcileReader }), stop.signal, () => {});
    expect(answers).toMatchObject([
      { http: 503, services: { db: "NOT_OK", "heartbeat-tsd": "NOT_OK" } },
      { http: 503, services: { "heartbeat-tsd": "NOT_OK" } },
    ]);
  });

  test("that is stopped while the store hangs does not tell that the store is back", async () => {
    const { store } = await freshStore();
    const stop = new AbortController();
    const options = optionsFor({ ...store, tellUnknownSites: () => new Promise(() => stop.abort()) });
    options.outage.failed("no answer in time");
    const passed = vi.fn();
    await runSweep(options, stop.signal, passed);
    expect(options.outage.isOn).toBe(true);
    expect(passed).not.toHaveBeenCalled();
  });
});
