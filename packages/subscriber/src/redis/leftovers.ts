import { readFileSync } from "node:fs";
import { parseUpstreamTimestamp } from "@pipeline-heartbeat/shared/timestamp.ts";
import { Cluster, type Redis } from "ioredis";
import * as z from "zod";
import type { RedisClient } from "./connection.ts";

const CLEAN = readFileSync(new URL("./clean.lua", import.meta.url), "utf8");

/** A key that the old reader counts and that no site of ours stands behind. */
export interface Leftover {
  readonly key: string;
  readonly value: string;
}

/**
 * The reader's keys that somebody else left behind, as upstream does: strings with a key of three parts and an exact
 * timestamp, about whose name no site says anything. Keys that other programs have under the same prefixes are passed by.
 * @param reported names as `<kind>:<name>`
 */
export async function leftoverKeys(redis: RedisClient, reported: ReadonlySet<string>): Promise<Leftover[]> {
  // The reader knows no cluster.
  if (redis instanceof Cluster) return [];
  const found: Leftover[] = [];
  for (const prefix of ["service", "queue"]) {
    for await (const batch of redis.scanStream({ match: `${prefix}:*`, count: 1_000 })) {
      for (const key of z.array(z.string()).parse(batch)) {
        const value = isReaderKey(key) && !reported.has(nameOf(key)) ? await stringAt(redis, key) : undefined;
        if (value === undefined || parseUpstreamTimestamp(value) === undefined) continue;
        if (!(await redis.exists(hashOf(key)))) found.push({ key, value });
      }
    }
  }
  // A scan may tell of a key twice.
  return [...new Map(found.map((leftover) => [leftover.key, leftover])).values()].toSorted((a, b) =>
    a.key < b.key ? -1 : 1,
  );
}

/** Deletes what has not changed since it was found, and returns those keys. */
export async function deleteLeftovers(redis: RedisClient, leftovers: readonly Leftover[]): Promise<string[]> {
  const deleted: string[] = [];
  for (const { key, value } of leftovers) {
    if ((await redis.eval(CLEAN, 2, key, hashOf(key), value)) === 1) deleted.push(key);
  }
  return deleted;
}

/** Without the status, of which the reader does not mind the case. */
function isReaderKey(key: string): boolean {
  return /^[^:]*:[^:]*:(ok|not_ok)$/i.test(key);
}

function nameOf(key: string): string {
  return key.slice(0, key.lastIndexOf(":"));
}

function hashOf(key: string): string {
  return `heartbeat:reader:${nameOf(key)}`;
}

async function stringAt(redis: Redis, key: string): Promise<string | undefined> {
  if ((await redis.type(key)) !== "string") return undefined;
  return (await redis.get(key)) ?? undefined;
}
