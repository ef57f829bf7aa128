import { readFileSync } from "node:fs";
import { formatUpstreamTimestamp } from "@pipeline-heartbeat/shared/timestamp.ts";
import type { Redis, Result } from "ioredis";
import * as z from "zod";
import { commandProblem } from "./connection.ts";
import type { StateEvent } from "../events.ts";
import { type ReaderEntry, readerEntries } from "../reader-keys.ts";
import { type SiteRecord, siteRecordSchema } from "../site-record.ts";
import type { Store, Stored } from "../store.ts";

const READER_KEYS = readFileSync(new URL("./reader-keys.lua", import.meta.url), "utf8");
const COUNT_COMMIT = readFileSync(new URL("./count-commit.lua", import.meta.url), "utf8");
const COMMIT = READER_KEYS + COUNT_COMMIT + readFileSync(new URL("./commit.lua", import.meta.url), "utf8");
const FORGET = READER_KEYS + COUNT_COMMIT + readFileSync(new URL("./forget.lua", import.meta.url), "utf8");
const UNKNOWN_SITES = READER_KEYS + readFileSync(new URL("./unknown-sites.lua", import.meta.url), "utf8");

const SITES = "heartbeat:sites";
const SWEEPS = "heartbeat:deadlines";
const GENERATION = "heartbeat:generation";
const REJECTED = "heartbeat:rejected";
const READER_HASHES = "heartbeat:reader:";
const TOLD_UNKNOWN = "heartbeat:reader-told-unknown";
const MAX_REJECTED = 1_000;
const MAX_EVENTS = 1_000;
/** Longer than any subscriber that runs takes to notice, and than messages are likely to wait in a queue. */
const FORGOTTEN_FOR_S = 7 * 24 * 60 * 60;

export interface RedisStoreOptions {
  readonly maxSites: number;
  /** Whether the old keys are written for the program that reads them. */
  readonly readerKeys: "reader-safe" | "upstream" | "off";
}

/** The store in Redis, one server or primary. Every method is one or two round trips. */
export function redisStore(redis: Redis, { maxSites, readerKeys }: RedisStoreOptions): Store {
  const isReaderTold = readerKeys === "reader-safe";
  // EVALSHA, and EVAL when Redis has forgotten the script.
  redis.defineCommand("commitSite", { lua: COMMIT, numberOfKeys: 5 });
  redis.defineCommand("forgetSite", { lua: FORGET, numberOfKeys: 5 });
  redis.defineCommand("tellUnknownSites", { lua: UNKNOWN_SITES, numberOfKeys: 2 });

  return withReadableErrors({
    async load(site) {
      const fields = ["version", "record", "forgottenAtMs"] as const;
      const [version, record, forgottenAtMs] = await redis.hmget(siteKey(site), ...fields);
      return {
        version: Number(version ?? 0),
        record: record ? parseRecord(record) : undefined,
        forgottenAtMs: forgottenAtMs ? Number(forgottenAtMs) : undefined,
      };
    },
    async loadAll() {
      const sites = await redis.smembers(SITES);
      const pipeline = redis.pipeline();
      for (const site of sites) pipeline.hget(siteKey(site), "record");
      const replies = (await pipeline.exec()) ?? [];
      const records = replies.flatMap(([error, record]) => {
        if (error) throw error;
        const parsed = typeof record === "string" ? parseRecord(record) : undefined;
        return parsed ? [parsed] : [];
      });
      const found = new Set(records.map(({ site }) => site));
      return { records, lost: sites.filter((site) => !found.has(site)) };
    },
    async commit(before, record, events) {
      const { site, sweepAtMs } = record;
      const told = isReaderTold ? JSON.stringify(readerChanges(before, record)) : "[]";
      const reply = await redis.commitSite(
        ...keysOf(site),
        String(before.version),
        site,
        JSON.stringify(record),
        String(sweepAtMs),
        String(maxSites),
        told,
        JSON.stringify(events.slice(-MAX_EVENTS).map(streamEntry)),
        String(MAX_EVENTS),
      );
      if (reply === 1) return "committed";
      return reply === 0 ? "conflict" : "full";
    },
    async forget({ version }, site, nowMs) {
      const names = await readerNamesOf(redis, site);
      const given = [String(version), site, String(nowMs), String(FORGOTTEN_FOR_S), ...names];
      return (await redis.forgetSite(...keysOf(site), ...given)) === 1;
    },
    async writeAsUpstream(entries) {
      if (readerKeys !== "upstream" || entries.length === 0) return;
      // Of several values for a key the last one stays, as if they had been set one by one.
      const values = new Map(
        entries.map(({ kind, name, status, value }) => [`${kind}:${name}:${status}`, value]),
      );
      await redis.mset(values);
    },
    async generation() {
      return (await redis.get(GENERATION)) ?? undefined;
    },
    async due(nowMs) {
      return await redis.zrangebyscore(SWEEPS, "-inf", `(${nowMs}`);
    },
    async tellUnknownSites(expected, nowMs) {
      if (!isReaderTold) return;
      const now = [String(Math.floor(nowMs / 1000)), formatUpstreamTimestamp(nowMs)];
      await redis.tellUnknownSites(SITES, TOLD_UNKNOWN, ...now, ...expected);
    },
    async quarantine(rejected) {
      const lines = rejected.map(({ reason, receivedAtMs, head }) => {
        return JSON.stringify({ reason, receivedAt: new Date(receivedAtMs).toISOString(), head });
      });
      const replies = await redis
        .multi()
        .lpush(REJECTED, ...lines)
        .ltrim(REJECTED, 0, MAX_REJECTED - 1)
        .exec();
      for (const [error] of replies ?? []) if (error) throw error;
    },
    async ping() {
      await redis.ping();
    },
  });
}

/** All names about which the reader was told something in the name of the site, whatever its record says. */
async function readerNamesOf(redis: Redis, site: string): Promise<string[]> {
  const names: string[] = [];
  for await (const keys of redis.scanStream({ match: `${READER_HASHES}*`, count: 1_000 })) {
    for (const key of z.array(z.string()).parse(keys)) {
      if (await redis.hexists(key, site)) names.push(key.slice(READER_HASHES.length));
    }
  }
  return names;
}

function withReadableErrors(store: Store): Store {
  return {
    load: readable(store.load),
    loadAll: readable(store.loadAll),
    commit: readable(store.commit),
    forget: readable(store.forget),
    writeAsUpstream: readable(store.writeAsUpstream),
    generation: readable(store.generation),
    due: readable(store.due),
    tellUnknownSites: readable(store.tellUnknownSites),
    quarantine: readable(store.quarantine),
    ping: readable(store.ping),
  };
}

/** ioredis tells of its own options; the operator wants to know what is the matter. */
function readable<Arguments extends unknown[], Result>(method: (...given: Arguments) => Promise<Result>) {
  return async (...given: Arguments): Promise<Result> => {
    try {
      return await method(...given);
    } catch (error) {
      throw new Error(commandProblem(error), { cause: error });
    }
  };
}

declare module "ioredis" {
  /** What defineCommand adds. */
  interface RedisCommander<Context> {
    commitSite(...keysAndArguments: string[]): Result<number, Context>;
    forgetSite(...keysAndArguments: string[]): Result<number, Context>;
    tellUnknownSites(...keysAndArguments: string[]): Result<string, Context>;
  }
}

/** The braces keep all keys of a site in one slot of a cluster. */
function siteKey(site: string): string {
  return `heartbeat:{${site}}:site`;
}

function keysOf(site: string): string[] {
  return [siteKey(site), SITES, SWEEPS, GENERATION, `heartbeat:{${site}}:events`];
}

/** A stream's entry: field, value, field, value… */
function streamEntry({ kind, name, state, sinceMs, reason }: StateEvent): string[] {
  const since = new Date(sinceMs).toISOString();
  const fields = ["kind", kind, "name", name, "state", state, "since", since];
  return reason === undefined ? fields : [...fields, "reason", reason];
}

/** Undefined for what cannot be read: as good as lost, and replaced by the next heartbeat. */
function parseRecord(text: string): SiteRecord | undefined {
  try {
    return siteRecordSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // no JSON
  }
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
