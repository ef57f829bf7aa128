import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import type { Health } from "../demo/health.ts";
import { askReader } from "../packages/subscriber/test/ask-reader.ts";
import { expectHealth, freshEnvironment, runCommand, startBundle } from "./processes.ts";
import { startSender } from "./sender.ts";

async function environment() {
  const fresh = await freshEnvironment();
  const redis = new Redis({ ...inject("redis"), db: fresh.redisDb });
  onTestFinished(() => redis.disconnect());
  return { ...fresh, redis };
}

const sites = ({ sites }: Health) => sites.map(({ site, state }) => `${site} ${state}`).toSorted();

describe("forget-site", () => {
  test("forgets a silent site for good, also in the subscribers that remember it", async () => {
    const { url, amqpUrl, subscriber, redis } = await environment();
    startBundle("subscriber", subscriber);
    const [old, current] = [await startSender(amqpUrl, "old"), await startSender(amqpUrl, "tsd")];
    await old.newBoot()({ states: { db: "down", gone: "down" }, intervalMs: 100 });
    await current.newBoot()({ states: { db: "up" } });
    await expectHealth(url, 10_000, (health) => expect(sites(health)).toEqual(["old silent", "tsd fresh"]));

    const forgotten = await runCommand("subscriber", ["forget-site", "old"], subscriber);
    expect(forgotten).toEqual({ exitCode: 0, stdout: "site old is forgotten\n", stderr: "" });
    await expectHealth(url, 1_000, ({ code, problems }) =>
      expect({ code, problems }).toEqual({ code: 200, problems: [] }),
    );
    expect(await askReader(redis)).toMatchObject({ http: 200, services: { db: "OK" } });
    expect(await redis.keys("*old*")).toEqual(["heartbeat:{old}:site"]);
    expect(await redis.ttl("heartbeat:{old}:site")).toBeGreaterThan(0);
    // The running subscriber writes back what Redis loses: it must have learned of this.
    await redis.set("heartbeat:generation", "1");
    await vi.waitFor(async () => expect(await redis.get("heartbeat:generation")).toBe("1"));
    await current.newBoot()({ states: { db: "up" } });
    await expectHealth(url, 2_000, (health) => expect(sites(health)).toEqual(["tsd fresh"]));
  });

  test("does not keep a site from coming back", async () => {
    const { url, amqpUrl, subscriber } = await environment();
    startBundle("subscriber", subscriber);
    const { newBoot } = await startSender(amqpUrl, "tsd");
    const send = newBoot();
    await send();
    await expectHealth(url, 10_000, (health) => expect(sites(health)).toEqual(["tsd fresh"]));
    const { stdout } = await runCommand("subscriber", ["forget-site", "tsd"], {
      ...subscriber,
      EXPECTED_SITES: "tsd",
    });
    expect(stdout).toContain("its next heartbeat brings it back");
    expect(stdout).toContain("EXPECTED_SITES names it");
    await expectHealth(url, 1_000, (health) => expect(sites(health)).toEqual([]));
    await send();
    await expectHealth(url, 1_000, (health) => expect(sites(health)).toEqual(["tsd fresh"]));
  });

  test("lets a site come back whose clock is behind", async () => {
    const { url, amqpUrl, subscriber } = await environment();
    startBundle("subscriber", subscriber);
    const { newBoot } = await startSender(amqpUrl, "tsd");
    const send = newBoot();
    await send({ aheadMs: -600_000, intervalMs: 1_000 });
    await expectHealth(url, 10_000, (health) => expect(sites(health)).toEqual(["tsd silent"]));
    await runCommand("subscriber", ["forget-site", "tsd"], subscriber);
    await expectHealth(url, 1_000, (health) => expect(sites(health)).toEqual([]));
    await vi.waitFor(
      async () => {
        await send({ aheadMs: -600_000, intervalMs: 1_000 });
        await expectHealth(url, 100, (health) => expect(sites(health)).toEqual(["tsd fresh"]));
      },
      { timeout: 10_000, interval: 1_000 },
    );
  });

  test("tells which sites there are, and what it expects", async () => {
    const { subscriber, amqpUrl, url } = await environment();
    const none = await runCommand("subscriber", ["forget-site", "x"], subscriber);
    expect(none).toMatchObject({ exitCode: 1, stderr: "no site of that name is known; none is known\n" });
    startBundle("subscriber", subscriber);
    await (await startSender(amqpUrl, "tsd")).newBoot()();
    await expectHealth(url, 10_000, (health) => expect(sites(health)).toEqual(["tsd fresh"]));
    const other = await runCommand("subscriber", ["forget-site", "x"], subscriber);
    expect(other).toMatchObject({ exitCode: 1, stderr: "no site of that name is known; known are: tsd\n" });
    expect(await runCommand("subscriber", ["forget-site"], subscriber)).toMatchObject({ exitCode: 64 });
    const nowhere = await runCommand("subscriber", ["forget-site", "x"], { ...subscriber, REDIS_PORT: "1" });
    expect(nowhere).toMatchObject({ exitCode: 1, stdout: "" });
    expect(nowhere.stderr).toBe("redis: nothing listens at 127.0.0.1:1 (connection refused)\n");
  });
});

test("a silent nameless site is forgotten when a named one reports all its components", async () => {
  const { url, amqpUrl, subscriber, redis } = await environment();
  const { printed } = startBundle("subscriber", { ...subscriber, EXPECTED_INTERVAL: "0.2" });
  const states = { db: "up", mq: "up" } as const;
  await (await startSender(amqpUrl, "default")).newBoot()({ states, format: 1 });
  await expectHealth(url, 10_000, (health) => expect(sites(health)).toEqual(["default silent"]));
  const heardMs = Date.now();
  // Who is heard within two intervals of it came together with it.
  await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(heardMs + 2 * 200));
  await (await startSender(amqpUrl, "tsd")).newBoot()({ states: { ...states, more: "up" } });
  await expectHealth(url, 2_000, ({ code, ...health }) => {
    expect(sites({ code, ...health })).toEqual(["tsd fresh"]);
    expect(code).toBe(200);
  });
  // /health reads Redis, and so knows of it before the subscriber has its answer, and tells it.
  await expect.poll(printed, { timeout: 5_000 }).toContain("another one reports all its components");
  await vi.waitFor(
    async () => expect(await askReader(redis)).toMatchObject({ http: 200, services: { db: "OK", mq: "OK" } }),
    { timeout: 5_000 },
  );
});

describe("clean-reader-keys", () => {
  const old = "2024-01-01 00:00:00 UTC";
  const foreign = {
    "service:cache": old,
    "service:a:b:ok": old,
    "service:app:config": old,
    "service:app:ok": "yes",
    "queue:app:ok": "2024-01-01T00:00:00Z",
  };

  async function upgraded() {
    const fresh = await environment();
    const { redis, subscriber, amqpUrl, url } = fresh;
    startBundle("subscriber", subscriber);
    await (await startSender(amqpUrl, "tsd")).newBoot()({ states: { db: "up" } });
    await expectHealth(url, 10_000, ({ code }) => expect(code).toBe(200));
    await redis.mset({
      ...foreign,
      "service:gone:ok": old,
      "service:gone:not_ok": old,
      "queue:gone:NOT_OK": old,
    });
    await redis.sadd("service:list:ok", "x");
    return fresh;
  }

  const leftovers = ["queue:gone:NOT_OK", "service:gone:not_ok", "service:gone:ok"];
  const listed = leftovers.map((key) => `${key} = ${old}\n`).join("");

  test("lists what upstream left behind, and deletes it when told yes", async () => {
    const { subscriber, redis } = await upgraded();
    const before = await redis.keys("*");
    const agreed = await runCommand("subscriber", ["clean-reader-keys"], subscriber, "y\n");
    expect(agreed).toMatchObject({ exitCode: 0, stdout: `${listed}3 of 3 keys deleted\n` });
    expect(agreed.stderr).toContain("delete these 3 keys? [y/N]");
    expect((await redis.keys("*")).toSorted()).toEqual(
      before.filter((key) => !leftovers.includes(key)).toSorted(),
    );
    const again = await runCommand("subscriber", ["clean-reader-keys", "--yes"], subscriber);
    expect(again).toMatchObject({ exitCode: 0, stderr: "" });
    expect(again.stdout).toContain("nothing to delete");
  });

  test.each([{ input: "n\n" }, { input: "" }])("deletes nothing when told %j", async ({ input }) => {
    const { subscriber, redis } = await upgraded();
    const before = await redis.dbsize();
    const refused = await runCommand("subscriber", ["clean-reader-keys"], subscriber, input);
    expect(refused).toMatchObject({ exitCode: 1, stdout: `${listed}nothing was deleted\n` });
    expect(await redis.dbsize()).toBe(before);
  });

  test("before any site is known leaves the reader no moment in which all seems well", async () => {
    const { subscriber, redis } = await environment();
    await redis.set("service:db:not_ok", old);
    const refused = await runCommand("subscriber", ["clean-reader-keys", "--yes"], {
      ...subscriber,
      LEGACY_KEYS: "off",
    });
    expect(refused).toMatchObject({ exitCode: 1 });
    expect(refused.stderr).toContain("no site is known yet");
    expect(await redis.get("service:db:not_ok")).toBe(old);
    expect(await runCommand("subscriber", ["clean-reader-keys", "--yes"], subscriber)).toMatchObject({
      exitCode: 0,
    });
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { heartbeat: "NOT_OK" } });
  });

  test("shows a name that would do something to the terminal as text", async () => {
    const { subscriber, redis } = await environment();
    await redis.set("service:\u001B[2J\u202Egone:ok", old);
    const refused = await runCommand("subscriber", ["clean-reader-keys"], subscriber, "n\n");
    expect(refused.stdout).toContain(`service:\\u{1b}[2J\\u{202e}gone:ok = ${old}\n`);
    expect(refused.stdout).not.toContain("\u001B");
  });

  test("does not ask when told so beforehand", async () => {
    const { subscriber, redis } = await upgraded();
    const result = await runCommand("subscriber", ["clean-reader-keys", "--yes"], subscriber);
    expect(result).toMatchObject({ exitCode: 0, stdout: `${listed}3 of 3 keys deleted\n`, stderr: "" });
    expect(await redis.get("service:db:ok")).not.toBeNull();
  });
});

test("with LEGACY_KEYS=upstream the reader's keys are what upstream writes, and stay", async () => {
  const { url, amqpUrl, subscriber, redis } = await environment();
  startBundle("subscriber", { ...subscriber, LEGACY_KEYS: "upstream" });
  const send = (await startSender(amqpUrl, "tsd")).newBoot();
  await send({ states: { "a:b": "up", db: "up" }, intervalMs: 100 });
  await vi.waitFor(async () => expect(await redis.keys("service:*")).toHaveLength(2), { timeout: 10_000 });
  await send({ states: { db: "down" }, intervalMs: 100 });
  const keys = ["service:a:b:ok", "service:db:not_ok", "service:db:ok"];
  const written = async () => (await redis.keys("service:*")).toSorted();
  await expect.poll(written, { timeout: 5_000 }).toEqual(keys);
  await expectHealth(url, 5_000, (health) => expect(sites(health)).toEqual(["tsd silent"]));
  expect(await written()).toEqual(keys);
  for (const key of keys) {
    expect(await redis.get(key)).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
    expect(await redis.ttl(key)).toBe(-1);
  }
});
