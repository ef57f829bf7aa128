import { readFileSync } from "node:fs";
import { formatUpstreamTimestamp } from "@pipeline-heartbeat/shared/timestamp.ts";
import type { Redis, Result } from "ioredis";
import * as z from "zod";
import { type ReaderEntry, readerEntries } from "../reader-keys.ts";
import type { SiteRecord } from "../site-record.ts";
import type { CommitResult, Store, Stored } from "../store.ts";
import { TAKEN_WHEN_FULL, REFUSED_WHEN_FULL } from "./first-line.ts";
import { historyChanges } from "./history.ts";
import {
  eventsKey,
  FORGOTTEN_FOR_S,
  GENERATION,
  READER_HASHES,
  siteKey,
  SITES,
  SWEEPS,
  TOLD_UNKNOWN,
} from "./keys.ts";
import { allSites, isWrongType, parseRecord } from "./record.ts";
import { singleKeyStore } from "./single-key-store.ts";
import type { RedisStoreOptions } from "./store.ts";

const RECORD = readFileSync(new URL("./record.lua", import.meta.url), "utf8");
const READER_KEYS = readFileSync(new URL("./reader-keys.lua", import.meta.url), "utf8");
const COUNT_COMMIT = readFileSync(new URL("./count-commit.lua", import.meta.url), "utf8");
const REPAIR = readFileSync(new URL("./repair.lua", import.meta.url), "utf8");
const UNKNOWN_SITES = readFileSync(new URL("./unknown-sites.lua", import.meta.url), "utf8");
const SHARED = REPAIR + RECORD + READER_KEYS + COUNT_COMMIT + UNKNOWN_SITES;
const COMMIT = REFUSED_WHEN_FULL + SHARED + readFileSync(new URL("./commit.lua", import.meta.url), "utf8");
const FORGET = TAKEN_WHEN_FULL + SHARED + readFileSync(new URL("./forget.lua", import.meta.url), "utf8");
const TELL_UNKNOWN_SITES =
  REFUSED_WHEN_FULL + SHARED + readFileSync(new URL("./tell-unknown-sites.lua", import.meta.url), "utf8");
const TAKE_NOTHING = readFileSync(new URL("./take-nothing.lua", import.meta.url), "utf8");
const WITHDRAW = TAKEN_WHEN_FULL + SHARED + readFileSync(new URL("./withdraw.lua", import.meta.url), "utf8");

/** The store on one server, or on a primary that sentinels name. Every change is one script. */
export function serverStore(redis: Redis, { maxSites, readerKeys }: RedisStoreOptions): Store {
  const isReaderTold = readerKeys === "reader-safe";
  // EVALSHA, and EVAL when Redis has forgotten the script.
  redis.defineCommand("commitSite", { lua: COMMIT, numberOfKeys: 5 });
  redis.defineCommand("forgetSite", { lua: FORGET, numberOfKeys: 6 });
  redis.defineCommand("tellUnknownSites", { lua: TELL_UNKNOWN_SITES, numberOfKeys: 2 });
  redis.defineCommand("withdrawFromReader", { lua: WITHDRAW, numberOfKeys: 1 });
  // Over a new connection the data may be older by as many commits as were made since the counter was last read.
  let connections = 0;
  redis.on("ready", () => (connections += 1));
  const ofOneKey = singleKeyStore(redis);
  const { load } = ofOneKey;

  async function commitSite(
    { version }: Stored,
    site: string,
    record: SiteRecord | undefined,
    told: readonly object[],
    history: string,
  ): Promise<CommitResult> {
    const reply = await redis.commitSite(
      ...keysOf(site),
      String(version),
      site,
      record ? JSON.stringify(record) : "",
      String(record?.sweepAtMs ?? 0),
      String(maxSites),
      JSON.stringify(isReaderTold ? told : []),
      history,
      String(Date.now()),
    );
    if (reply === 1) return "committed";
    return reply === 0 ? "conflict" : "full";
  }

  /** Not from under somebody who commits meanwhile: then it is looked at again. */
  async function withdrawUnreported(site: string, name: string, reports: Map<string, Report>): Promise<void> {
    for (;;) {
      const report = reports.get(site) ?? reportOf(await load(site));
      reports.set(site, report);
      if (report.names.has(name)) return;
      if ((await redis.withdrawFromReader(siteKey(site), site, name, String(report.version))) === 1) return;
      reports.delete(site);
    }
  }

  return {
    ...ofOneKey,
    async generation() {
      const generation = await ofOneKey.generation();
      return generation === undefined ? undefined : `${generation} ${connections}`;
    },
    async loadAll() {
      const sites = await redis.smembers(SITES);
      const pipeline = redis.pipeline();
      for (const site of sites) pipeline.hget(siteKey(site), "record");
      const replies = (await pipeline.exec()) ?? [];
      const records = replies.flatMap(([error, record]) => {
        if (error && !isWrongType(error)) throw error;
        const parsed = typeof record === "string" ? parseRecord(record) : undefined;
        return parsed ? [parsed] : [];
      });
      return allSites(sites, records);
    },
    async commit(before, record, events, corrections) {
      const history = historyChanges(events, corrections, record.components.length);
      return await commitSite(before, record.site, record, readerChanges(before, record), history);
    },
    async commitEvents(before, site, events, corrections) {
      return await commitSite(before, site, undefined, [], historyChanges(events, corrections, 0));
    },
    async forget({ version }, site, nowMs, expected) {
      const names: string[] = [];
      for await (const { name, sites } of readerNames(redis)) if (sites.includes(site)) names.push(name);
      const reply = await redis.forgetSite(
        ...keysOf(site),
        TOLD_UNKNOWN,
        String(version),
        site,
        String(nowMs),
        String(FORGOTTEN_FOR_S),
        JSON.stringify(names),
        isReaderTold ? "1" : "0",
        formatUpstreamTimestamp(nowMs),
        JSON.stringify(expected),
      );
      return reply === 1;
    },
    async reconcileReader() {
      const reports = new Map<string, Report>();
      for await (const { name, sites } of readerNames(redis)) {
        if (isReaderTold) {
          for (const site of sites) if (site !== "") await withdrawUnreported(site, name, reports);
          continue;
        }
        if (sites.includes("")) await redis.withdrawFromReader(siteKey(""), "", name, "0");
        // Whatever stands there then is nobody's of ours.
        await redis.del(READER_HASHES + name);
      }
      if (!isReaderTold) await redis.del(TOLD_UNKNOWN);
    },
    async writeAsUpstream(entries) {
      if (readerKeys !== "upstream" || entries.length === 0) return;
      // Of several values for a key the last one stays, as if they had been set one by one.
      const values = new Map(
        entries.map(({ kind, name, status, value }) => [`${kind}:${name}:${status}`, value]),
      );
      await redis.mset(values);
    },
    async tellUnknownSites(expected, nowMs) {
      if (!isReaderTold) return;
      const now = [String(Math.floor(nowMs / 1000)), formatUpstreamTimestamp(nowMs)];
      await redis.tellUnknownSites(SITES, TOLD_UNKNOWN, ...now, ...expected);
    },
    async ping() {
      await redis.eval(TAKE_NOTHING, 0);
    },
  };
}

/** What a site says about names of the reader's, by the version of its record. */
interface Report {
  readonly version: number;
  readonly names: ReadonlySet<string>;
}

function reportOf({ version, record }: Stored): Report {
  return { version, names: new Set(record && readerEntries(record).map(readerName)) };
}

/** All names about which the reader was told something, and in the name of which sites. */
async function* readerNames(redis: Redis): AsyncGenerator<{ name: string; sites: string[] }> {
  for await (const keys of redis.scanStream({ match: `${READER_HASHES}*`, type: "hash", count: 1_000 })) {
    for (const key of z.array(z.string()).parse(keys)) {
      yield { name: key.slice(READER_HASHES.length), sites: await redis.hkeys(key) };
    }
  }
}

declare module "ioredis" {
  /** What defineCommand adds. */
  interface RedisCommander<Context> {
    commitSite(...keysAndArguments: string[]): Result<number, Context>;
    forgetSite(...keysAndArguments: string[]): Result<number, Context>;
    tellUnknownSites(...keysAndArguments: string[]): Result<string, Context>;
    withdrawFromReader(siteKey: string, site: string, name: string, version: string): Result<number, Context>;
  }
}

function keysOf(site: string): string[] {
  return [siteKey(site), SITES, SWEEPS, GENERATION, eventsKey(site)];
}

/** What the site says now about each name, and an empty entry for each name about which it says nothing any more. */
function readerChanges(before: Stored, record: SiteRecord): object[] {
  const entries = readerEntries(record);
  const names = new Set(entries.map(readerName));
  const gone = before.record ? readerEntries(before.record).map(readerName) : [];
  return [
    ...entries.map((entry) => ({
      name: readerName(entry),
      entry: {
        ok: entry.isOk,
        at: readerTime(entry.atMs),
        failed: entry.failedAtMs === undefined ? undefined : readerTime(entry.failedAtMs),
        expires: entry.okExpiresAtMs,
      },
    })),
    ...gone.filter((name) => !names.has(name)).map((name) => ({ name })),
  ];
}

function readerName({ kind, name }: ReaderEntry): string {
  return `${kind}:${name}`;
}

function readerTime(atMs: number): { s: number; text: string } {
  return { s: Math.floor(atMs / 1000), text: formatUpstreamTimestamp(atMs) };
}
