import { once } from "node:events";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import type { Redis } from "ioredis";
import { readConfig } from "../config.ts";
import { connectRedis } from "../redis/connection.ts";

const CONNECT_WITHIN_MS = 5_000;

type Config = ReturnType<typeof readConfig>;

/** Runs a command on the Redis that the environment names; 1 with a line on stderr when that does not answer. */
export async function withRedis(
  env: Env,
  command: (redis: Redis, config: Config) => Promise<number>,
): Promise<number> {
  const config = readConfig(env);
  let problem = "no answer in time";
  const redis = connectRedis(config.redis, (cause) => (problem = cause));
  try {
    await once(redis, "ready", { signal: AbortSignal.timeout(CONNECT_WITHIN_MS) });
  } catch {
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
