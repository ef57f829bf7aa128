import { Redis } from "ioredis";

const ANSWER_WITHIN_MS = 5_000;

export interface RedisPlace {
  readonly host: string;
  readonly port: number;
  readonly password?: string | undefined;
}

export interface RedisConnection {
  /** Rejects with what Redis says against it. */
  readonly command: (name: string, ...args: (string | number)[]) => Promise<unknown>;
  readonly close: () => void;
}

/** One connection that is tried once: whoever waits for a server asks again. */
export async function connectRedis({ host, port, password }: RedisPlace): Promise<RedisConnection> {
  const redis = new Redis({
    host,
    port,
    ...(password !== undefined && { password }),
    lazyConnect: true,
    connectTimeout: ANSWER_WITHIN_MS,
    commandTimeout: ANSWER_WITHIN_MS,
    retryStrategy: () => null,
  });
  let lastProblem: unknown;
  // Its promise says only that the connection is closed; this event says why.
  redis.on("error", (error: unknown) => (lastProblem = error));
  try {
    await redis.connect();
  } catch (error) {
    redis.disconnect();
    throw lastProblem ?? error;
  }
  return { command: (name, ...args) => redis.call(name, ...args), close: () => redis.disconnect() };
}
