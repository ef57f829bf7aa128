import { Redis } from "ioredis";
import { expect, inject, onTestFinished } from "vitest";
import { freshRedisDb } from "../../../test/fresh.ts";
import { redisStore, type RedisStoreOptions } from "../src/redis/store.ts";
import { readerAnswer } from "./reader.ts";

/** A store in an empty database of the real Redis, with a second connection to look into it. */
export async function freshStore(options: Partial<RedisStoreOptions> = {}) {
  const { host, port } = inject("redis");
  const db = await freshRedisDb();
  const redis = new Redis({ host, port, db });
  onTestFinished(() => redis.disconnect());
  const store = redisStore(redis, { maxSites: 1_000, readerKeys: "reader-safe", ...options });
  return { store, redis, db };
}

/** The reader's answer, which must not depend on the order in which Redis lists its keys. */
export async function askReader(redis: Redis) {
  const names = [...(await redis.keys("service:*")), ...(await redis.keys("queue:*"))];
  const pairs = await Promise.all(names.map(async (name) => [name, (await redis.get(name)) ?? ""] as const));
  const answer = readerAnswer(pairs);
  expect(readerAnswer(pairs.toReversed()), "the reader's answer depends on the order of KEYS").toEqual(
    answer,
  );
  return answer;
}
