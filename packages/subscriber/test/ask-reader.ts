import type { Redis } from "ioredis";
import { expect } from "vitest";
import { readerAnswer } from "./reader.ts";

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
