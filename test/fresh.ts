import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { inject, onTestFinished, type TestContext } from "vitest";
import { managementHeaders, managementUrl } from "./brokers/addresses.ts";
import { connectRedis, type RedisConnection } from "./brokers/redis-connection.ts";

export interface Vhost {
  readonly name: string;
  /** With the administrator's credentials. */
  readonly amqpUrl: string;
}

/** Claims are kept in this database, which is why it is never handed out. */
const CLAIMS_DATABASE = 0;
/** A claim that a killed worker leaves in somebody's Redis ends by itself, long after every test. */
const CLAIM_SECONDS = 3_600;
const CLAIM_WITHIN_MS = 30_000;
const BETWEEN_CLAIMS_MS = 200;

/** Has something done when a test is finished. Tests that run side by side each have to say which they are. */
export type WhenFinished = TestContext["onTestFinished"];

/** A new vhost that only this test knows, gone when the test is finished; its name ends as asked for. */
export async function freshVhost(nameEnd = "", whenFinished: WhenFinished = onTestFinished): Promise<Vhost> {
  const { host, amqpPort, user, password } = inject("rabbitmq");
  const name = `test-${randomBytes(6).toString("hex")}${nameEnd}`;
  const segment = encodeURIComponent(name);
  await manage("PUT", `vhosts/${segment}`);
  whenFinished(() => manage("DELETE", `vhosts/${segment}`));
  await manage("PUT", `permissions/${segment}/${encodeURIComponent(user)}`, {
    configure: ".*",
    write: ".*",
    read: ".*",
  });
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  return { name, amqpUrl: `amqp://${credentials}@${host}:${amqpPort}/${segment}` };
}

/**
 * The number of an empty logical database that no other test uses, in this worker or another; emptied when the test is
 * finished. A database with something in it is not ours to empty and is left alone. Waits while all are in use.
 */
export async function freshRedisDb(): Promise<number> {
  const address = inject("redis");
  const redis = await connectRedis(address);
  try {
    const deadline = AbortSignal.timeout(CLAIM_WITHIN_MS);
    while (!deadline.aborted) {
      for (let database = CLAIMS_DATABASE + 1; database < address.databases; database += 1) {
        if (await claim(redis, database)) {
          onTestFinished(() => giveBack(database));
          return database;
        }
      }
      await sleep(BETWEEN_CLAIMS_MS);
    }
  } finally {
    redis.close();
  }
  throw new Error(`all ${address.databases} redis databases are in use or not empty`);
}

async function claim(redis: RedisConnection, database: number): Promise<boolean> {
  await redis.command("SELECT", CLAIMS_DATABASE);
  const claimed = await redis.command("SET", claimKey(database), process.pid, "NX", "EX", CLAIM_SECONDS);
  if (claimed === null) return false;
  await redis.command("SELECT", database);
  if ((await redis.command("DBSIZE")) === 0) return true;
  await release(redis, database);
  return false;
}

async function giveBack(database: number): Promise<void> {
  const redis = await connectRedis(inject("redis"));
  try {
    await redis.command("SELECT", database);
    await redis.command("FLUSHDB");
    await release(redis, database);
  } finally {
    redis.close();
  }
}

async function release(redis: RedisConnection, database: number): Promise<void> {
  await redis.command("SELECT", CLAIMS_DATABASE);
  await redis.command("DEL", claimKey(database));
}

function claimKey(database: number): string {
  return `test-claim:${database}`;
}

async function manage(method: "PUT" | "DELETE", path: string, body: object = {}): Promise<void> {
  const rabbitmq = inject("rabbitmq");
  const response = await fetch(managementUrl(rabbitmq, path), {
    method,
    headers: managementHeaders(rabbitmq),
    ...(method === "PUT" && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
}
