import { readFileSync } from "node:fs";
import { formatUpstreamTimestamp } from "@pipeline-heartbeat/shared/timestamp.ts";
import type { Redis, Result } from "ioredis";
import { commandProblem } from "./connection.ts";
import { type ReaderEntry, readerEntries } from "../reader-keys.ts";
import { type SiteRecord, siteRecordSchema } from "../site-record.ts";
import type { Store, Stored } from "../store.ts";

const READER_KEYS = readFileSync(new URL("./reader-keys.lua", import.meta.url), "utf8");
const COMMIT = READER_KEYS + readFileSync(new URL("./commit.lua", import.meta.url), "utf8");
const UNKNOWN_SITES = READER_KEYS + readFileSync(new URL("./unknown-sites.lua", import.meta.url), "utf8");

const SITES = "heartbeat:sites";
const SWEEPS = "heartbeat:deadlines";
const GENERATION = "heartbeat:generation";
const REJECTED = "heartbeat:rejected";
const TOLD_UNKNOWN = "heartbeat:reader-told-unknown";
const MAX_REJECTED = 1_000;

export interface RedisStoreOptions {
  readonly maxSites: number;
  /** Whether the old keys are written for the program that reads them. */
  readonly readerKeys: "reader-safe" | "off";
}

/** The store in Redis, one server or primary. Every method is one or two round trips. */
export function redisStore(redis: Redis, { maxSites, readerKeys }: RedisStoreOptions): Store {
  const isReaderTold = readerKeys !== "off";
  // EVALSHA, and EVAL when Redis has forgotten the script.
  redis.defineCommand("commitSite", { lua: COMMIT, numberOfKeys: 4 });
  redis.defineCommand("tellUnknownSites", { lua: UNKNOWN_SITES, numberOfKeys: 2 });

  return withReadableErrors({
    async load(site) {
      const [version, record] = await redis.hmget(siteKey(site), "version", "record");
      return { version: Number(version ?? 0), record: record ? parseRecord(record) : undefined };
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
    async commit(before, record) {
      const { site, sweepAtMs } = record;
      const told = isReaderTold ? JSON.stringify(readerChanges(before, record)) : "[]";
      const keys = [siteKey(site), SITES, SWEEPS, GENERATION] as const;
      const reply = await redis.commitSite(
        ...keys,
        String(before.version),
        site,
        JSON.stringify(record),
        String(sweepAtMs),
        String(maxSites),
        told,
      );
      if (reply === 1) return "committed";
      return reply === 0 ? "conflict" : "full";
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

function withReadableErrors(store: Store): Store {
  return {
    load: readable(store.load),
    loadAll: readable(store.loadAll),
    commit: readable(store.commit),
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
    tellUnknownSites(...keysAndArguments: string[]): Result<string, Context>;
  }
}

/** The braces keep all keys of a site in one slot of a cluster. */
function siteKey(site: string): string {
  return `heartbeat:{${site}}:site`;
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
