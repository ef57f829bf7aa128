import { setTimeout as sleep } from "node:timers/promises";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import { readConfig } from "../config.ts";
import { connectRedis, type RedisClient } from "../redis/connection.ts";

const CONNECT_WITHIN_MS = 5_000;

type Config = ReturnType<typeof readConfig>;

/** Runs a command on the Redis that the environment names; 1 with a line on stderr when that does not answer. */
export async function withRedis(
  env: Env,
  command: (redis: RedisClient, config: Config) => Promise<number>,
): Promise<number> {
  const config = readConfig(env);
  const failed = Promise.withResolvers<string>();
  const redis = connectRedis(config.redis, { away: failed.resolve, nodeAway: () => {} });
  const ready = new Promise<undefined>((resolve) => redis.once("ready", () => resolve(undefined)));
  const late = sleep(CONNECT_WITHIN_MS, "no answer in time", { ref: false });
  const problem = await Promise.race([ready, failed.promise, late]);
  if (problem !== undefined) {
    redis.disconnect();
    process.stderr.write(`redis: ${problem}\n`);
    return 1;
  }
  try {
    return await command(redis, config);
  } finally {
    redis.disconnect();
  }
}
