import { describe, expect, inject, test } from "vitest";
import { managementHeaders, managementUrl } from "./brokers/addresses.ts";
import { connectRedis } from "./brokers/redis-connection.ts";
import { freshRedisDb, freshVhost } from "./fresh.ts";

describe("freshVhost", () => {
  const names: string[] = [];

  test("gives each call a vhost of its own", async () => {
    const vhosts = await Promise.all([freshVhost(), freshVhost()]);
    names.push(...vhosts.map(({ name }) => name));
    expect(new Set(names).size).toBe(2);
    expect(await Promise.all(names.map(statusOfVhost))).toEqual([200, 200]);
    expect(vhosts[0].amqpUrl).toMatch(new RegExp(`^amqp://.+:.+@.+:\\d+/${names[0]}$`));
  });

  test("gives it a name that ends as asked for", async () => {
    const { name } = await freshVhost("/a b%ä");
    names.push(name);
    expect(name).toMatch(/^test-[0-9a-f]+\/a b%ä$/);
    expect(await statusOfVhost(name)).toBe(200);
  });

  test("has removed them when the test is finished", async () => {
    expect(await Promise.all(names.map(statusOfVhost))).toEqual([404, 404, 404]);
  });
});

describe("freshRedisDb", () => {
  const used: number[] = [];

  test("gives each call an empty database of its own, never one with something in it", async () => {
    const occupied = await freshRedisDb();
    await inDatabase(occupied, "SET", "key", "somebody's");
    used.push(occupied, ...(await Promise.all([freshRedisDb(), freshRedisDb(), freshRedisDb()])));
    expect(new Set(used).size).toBe(4);
    expect(used).not.toContain(0);
    expect(await Promise.all(used.map((database) => inDatabase(database, "DBSIZE")))).toEqual([1, 0, 0, 0]);
  });

  test("has emptied them when the test is finished", async () => {
    expect(await Promise.all(used.map((database) => inDatabase(database, "DBSIZE")))).toEqual([0, 0, 0, 0]);
  });

  test("passes over a database with something in it that nobody claims, and leaves it as it is", async () => {
    const occupied = await freshRedisDb();
    await inDatabase(occupied, "SET", "key", "somebody's");
    await inDatabase(0, "DEL", `test-claim:${occupied}`);
    expect(await freshRedisDb()).not.toBe(occupied);
    expect(await inDatabase(occupied, "GET", "key")).toBe("somebody's");
  });
});

async function statusOfVhost(name: string): Promise<number> {
  const rabbitmq = inject("rabbitmq");
  const headers = managementHeaders(rabbitmq);
  return (await fetch(managementUrl(rabbitmq, `vhosts/${encodeURIComponent(name)}`), { headers })).status;
}

async function inDatabase(database: number, command: string, ...args: string[]): Promise<unknown> {
  const redis = await connectRedis(inject("redis"));
  try {
    await redis.command("SELECT", database);
    return await redis.command(command, ...args);
  } finally {
    redis.close();
  }
}
