import { Redis } from "ioredis";
import { inject, onTestFinished } from "vitest";
import { freshRedisDb } from "../../../test/fresh.ts";
import { redisStore, type RedisStoreOptions } from "../src/redis/store.ts";

/** A store in an empty database of the real Redis, with a second connection to look into it. */
export async function freshStore(options: Partial<RedisStoreOptions> = {}) {
  const { host, port } = inject("redis");
  const db = await freshRedisDb();
  const redis = new Redis({ host, port, db });
  onTestFinished(() => redis.disconnect());
  const store = redisStore(redis, { maxSites: 1_000, readerKeys: "reader-safe", ...options });
  return { store, redis, db };
}
