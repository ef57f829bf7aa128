import { readFileSync } from "node:fs";
import type { Result } from "ioredis";
import type { Store } from "../store.ts";
import type { RedisClient } from "./connection.ts";
import { REFUSED_WHEN_FULL } from "./first-line.ts";
import { parseHistory } from "./history.ts";
import { eventsKey, GENERATION, REJECTED, siteKey, SWEEPS } from "./keys.ts";
import { isWrongType, parseRecord } from "./record.ts";

const REPAIR = readFileSync(new URL("./repair.lua", import.meta.url), "utf8");
const QUARANTINE =
  REFUSED_WHEN_FULL + REPAIR + readFileSync(new URL("./quarantine.lua", import.meta.url), "utf8");
const MAX_REJECTED = 1_000;

/** What touches one key at a time, or those of one site in one slot, and so is the same on one server and in a cluster. */
export function singleKeyStore(
  redis: RedisClient,
): Pick<Store, "load" | "loadHistory" | "generation" | "due" | "quarantine"> {
  redis.defineCommand("quarantineMessages", { lua: QUARANTINE, numberOfKeys: 1 });
  return {
    async load(site) {
      const fields = ["version", "record", "forgottenAtMs"] as const;
      const [version, record, forgottenAtMs] = await redis
        .hmget(siteKey(site), ...fields)
        .catch(nothingIfWrongType);
      return {
        version: /^\d+$/.test(version ?? "") ? Number(version) : 0,
        record: record ? parseRecord(record) : undefined,
        forgottenAtMs: forgottenAtMs ? Number(forgottenAtMs) : undefined,
      };
    },
    async loadHistory(site) {
      const [entries, [restated, givenUpTo]] = await Promise.all([
        redis.xrange(eventsKey(site), "-", "+").catch(nothingIfWrongType),
        redis.hmget(siteKey(site), "restated", "eventsGivenUpTo").catch(nothingIfWrongType),
      ]);
      return parseHistory(entries, restated, givenUpTo);
    },
    async generation() {
      return (await redis.get(GENERATION)) ?? undefined;
    },
    async due(nowMs) {
      return await redis.zrangebyscore(SWEEPS, "-inf", `(${nowMs}`);
    },
    async quarantine(rejected) {
      const lines = rejected.map(({ reason, code, receivedAtMs, origin, head }) => {
        const receivedAt = new Date(receivedAtMs).toISOString();
        return JSON.stringify({ reason, code, receivedAt, ...origin, head });
      });
      await redis.quarantineMessages(REJECTED, String(MAX_REJECTED), ...lines);
    },
  };
}

function nothingIfWrongType(error: unknown): [] {
  if (isWrongType(error)) return [];
  throw error;
}

declare module "ioredis" {
  interface RedisCommander<Context> {
    quarantineMessages(...keysAndArguments: string[]): Result<string, Context>;
  }
}
