import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { expectHealth, freshEnvironment, startBundle } from "./processes.ts";
import { startSender } from "./sender.ts";

/** A user of Redis whose rights change. Returns its name and what changes them. */
async function changingUser() {
  const redis = new Redis(inject("redis"));
  const name = `changing-${randomUUID()}`;
  const allow = async (...rules: string[]) => void (await redis.call("ACL", "SETUSER", name, ...rules));
  await allow("on", ">secret", "~*", "&*", "+@all");
  onTestFinished(async () => {
    await redis.call("ACL", "DELUSER", name);
    redis.disconnect();
  });
  const disconnect = async () => void (await redis.client("KILL", "USER", name));
  return { name, allow, disconnect };
}

test("what the reader cannot be told makes the subscriber unready, though heartbeats are stored", async () => {
  const { url, amqpUrl, subscriber } = await freshEnvironment();
  const { name, allow } = await changingUser();
  await allow("-scan");
  startBundle("subscriber", { ...subscriber, REDIS_USERNAME: name, REDIS_PASSWORD: "secret" });
  await (await startSender(amqpUrl, "tsd")).newBoot()();
  await expectHealth(url, 10_000, ({ code }) => expect(code).toBe(200));
  const readiness = async () => await (await fetch(`${url}/readyz`)).text();
  await expect.poll(readiness, { timeout: 5_000 }).toMatch(/"fail".*"redis: NOPERM .*scan/);
  await allow("+scan");
  await expect.poll(readiness, { timeout: 5_000 }).toContain('"pass"');
});

test("what came and cannot be stored makes /health fail at once, and is stored when it can be", async () => {
  const { url, amqpUrl, subscriber } = await freshEnvironment();
  const { name, allow } = await changingUser();
  const credentials = { REDIS_USERNAME: name, REDIS_PASSWORD: "secret" };
  const { child, ended, printed } = startBundle("subscriber", { ...subscriber, ...credentials });
  const send = (await startSender(amqpUrl, "tsd")).newBoot();
  await send();
  await expectHealth(url, 10_000, ({ code }) => expect(code).toBe(200));

  // Reading goes on, as with a full disk or a full memory.
  await allow("-hset");
  await send({ states: { db: "down" }, cause: "change" });
  await expectHealth(url, 2_000, ({ code, problems }) => {
    expect(code).toBe(503);
    expect(problems).toEqual([
      "heartbeats cannot be stored in Redis, so what it holds may be old: its access rules forbid it",
    ]);
  });
  const readiness = await fetch(`${url}/readyz`);
  expect(readiness.status).toBe(503);
  expect(await readiness.text()).toMatch(/"redis: .*(hset|can't run this command)/);
  expect((await fetch(`${url}/heartbeat`)).status).toBe(503);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  for (const told of ["store_connected 1", "store_writable 0", "healthy 0"])
    expect(metrics).toContain(`\nheartbeat_${told}\n`);

  await allow("+hset");
  await expectHealth(url, 3_000, ({ problems }) => {
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("service db (site tsd) is down");
  });
  await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 5_000 }).toBe(200);
  child.kill("SIGTERM");
  expect(await ended()).toBe(0);
  expect(printed().match(/redis unavailable/g)).toHaveLength(1);
});

test("a login that is refused from now on is told as such, in Redis's words at /readyz", async () => {
  const { url, amqpUrl, subscriber } = await freshEnvironment();
  const { name, allow, disconnect } = await changingUser();
  const credentials = { REDIS_USERNAME: name, REDIS_PASSWORD: "secret" };
  const { printed } = startBundle("subscriber", { ...subscriber, ...credentials });
  await (await startSender(amqpUrl, "tsd")).newBoot()();
  await expectHealth(url, 10_000, ({ code }) => expect(code).toBe(200));

  await allow("resetpass", ">another");
  await disconnect();
  await expectHealth(url, 2_000, ({ code, problems }) => {
    expect(code).toBe(503);
    expect(problems).toEqual(["the state cannot be read from Redis: it refuses the login"]);
  });
  const readiness = async () => await (await fetch(`${url}/readyz`)).text();
  await expect.poll(readiness, { timeout: 5_000 }).toMatch(/"redis: WRONGPASS [^":]*"/);

  await allow(">secret");
  await expectHealth(url, 3_000, ({ code }) => expect(code).toBe(200));
  await expect.poll(readiness, { timeout: 5_000 }).toContain('"pass"');
  await expect.poll(() => printed().match(/redis (un)?available/g), { timeout: 3_000 }).toHaveLength(2);
});

test("a site whose heartbeats are in our hands, behind what cannot be stored, is not told to be silent", async () => {
  const { url, amqpUrl, redisDb, subscriber } = await freshEnvironment();
  const redis = new Redis({ ...inject("redis"), db: redisDb });
  onTestFinished(() => redis.disconnect());
  const { name, allow } = await changingUser();
  const credentials = { REDIS_USERNAME: name, REDIS_PASSWORD: "secret", MAX_SITES: "1" };
  startBundle("subscriber", { ...subscriber, ...credentials });
  const send = (await startSender(amqpUrl, "tsd")).newBoot();
  const hurry = { intervalMs: 1_000 };
  await send(hurry);
  await expectHealth(url, 10_000, ({ code }) => expect(code).toBe(200));

  // What is quarantined.
  await allow("-lpush");
  await (await startSender(amqpUrl, "one-too-many")).newBoot()();
  await expectHealth(url, 2_000, ({ problems }) => expect(problems[0]).toContain("cannot be stored"));
  const isOverdue = async () => {
    await send(hurry);
    const deadline = Number(await redis.zscore("heartbeat:deadlines", "tsd"));
    expect(Date.now() - deadline).toBeGreaterThan(1_000);
  };
  await vi.waitFor(isOverdue, { timeout: 6_000, interval: 200 });
  await allow("+lpush");
  await send(hurry);
  await expectHealth(url, 3_000, ({ code }) => expect(code).toBe(200));
  const events = await redis.xrange("heartbeat:{tsd}:events", "-", "+");
  expect(events.filter(([, fields]) => fields.includes("silent"))).toEqual([]);
});
