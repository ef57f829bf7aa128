import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import type { Health } from "../demo/health.ts";
import { askReader } from "../packages/subscriber/test/ask-reader.ts";
import { freePorts } from "./brokers/free-ports.ts";
import { expectHealth, freshEnvironment, startBundle } from "./processes.ts";
import { type SendOptions, startSender } from "./sender.ts";

/** So that a site is silent after two and a half seconds. */
const hurry: SendOptions = { intervalMs: 1_000 };

async function running(env: Record<string, string> = {}) {
  const fresh = await freshEnvironment();
  const subscriber = startBundle("subscriber", { ...fresh.subscriber, ...env });
  const redis = new Redis({ ...inject("redis"), db: fresh.redisDb });
  onTestFinished(() => redis.disconnect());
  await vi.waitFor(async () => expect((await fetch(`${fresh.url}/readyz`)).status).toBe(200), {
    timeout: 10_000,
  });
  const sender = await startSender(fresh.amqpUrl, "tsd");
  return { ...fresh, subscriberProcess: subscriber, redis, sender };
}

/** Sends a heartbeat each second until the test ends or it is stopped. */
function keepSending(send: (options: SendOptions) => Promise<void>, options: SendOptions = {}) {
  const stopped = new AbortController();
  const loop = (async () => {
    while (!stopped.signal.aborted) {
      await send({ ...hurry, ...options });
      await sleep(1_000, undefined, { signal: stopped.signal }).catch(() => {}); // stopped
    }
  })();
  const stop = async () => {
    stopped.abort();
    await loop;
  };
  onTestFinished(stop);
  return stop;
}

/** What must be true all the time, from now on for so long. */
async function holds(forMs: number, look: () => Promise<unknown>): Promise<void> {
  for (const untilMs = Date.now() + forMs; Date.now() < untilMs; await sleep(100)) await look();
}

const isUp = ({ code, problems }: Health) => expect({ code, problems }).toEqual({ code: 200, problems: [] });
const cause = (health: Health) => health.sites[0]?.cause;

describe("a silence", () => {
  test("is told with its cause, written within a second of its deadline, and over with the next heartbeat", async () => {
    const { url, redis, sender } = await running();
    const send = sender.newBoot();
    await send(hurry);
    const { sites } = await expectHealth(url, 2_000, isUp);
    await expectHealth(url, 3_500, (health) => expect(cause(health)).toBe("publisher_silent"));
    await vi.waitFor(async () => expect(await redis.get("service:db:ok")).toBeNull(), 1_000);
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
    expect(Date.now() - Date.parse(sites[0]?.deadline ?? "")).toBeLessThan(1_200);
    await send(hurry);
    await expectHealth(url, 1_000, isUp);
    expect(await askReader(redis)).toMatchObject({ http: 200 });
  });

  test("after a goodbye was meant, and its states stay until the deadline", async () => {
    const { url, sender } = await running();
    const send = sender.newBoot();
    await send(hurry);
    await send({ ...hurry, cause: "goodbye" });
    await expectHealth(url, 2_000, isUp);
    await expectHealth(url, 4_000, (health) => expect(cause(health)).toBe("goodbye"));
  });

  test("of a subscriber without a broker is one of the broker", async () => {
    const [port = 0] = await freePorts(1);
    const { subscriber, url, amqpUrl } = await freshEnvironment();
    const first = startBundle("subscriber", subscriber);
    await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), {
      timeout: 10_000,
    });
    await (await startSender(amqpUrl, "tsd")).newBoot()(hurry);
    await expectHealth(url, 2_000, isUp);
    first.child.kill("SIGTERM");
    await first.ended();
    startBundle("subscriber", { ...subscriber, RABBITMQ_PORT: String(port) });
    await expectHealth(url, 10_000, (health) => expect(cause(health)).toBe("broker_unreachable"));
  });

  test("is one event where two subscribers stand side by side", async () => {
    const { url, redis, sender, subscriber, subscriberProcess } = await running();
    const [port = 0] = await freePorts(1);
    const other = startBundle("subscriber", { ...subscriber, HTTP_PORT: String(port) });
    await vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200), {
      timeout: 10_000,
    });
    await sender.newBoot()(hurry);
    await expectHealth(url, 5_000, (health) => expect(cause(health)).toBe("publisher_silent"));
    await vi.waitFor(
      () => expect(subscriberProcess.printed() + other.printed()).toContain("site is silent"),
      2_000,
    );
    // Both get the time to say it.
    await holds(1_500, async () => {
      const events = await redis.xrange("heartbeat:{tsd}:events", "-", "+");
      expect(events.filter(([, fields]) => fields.includes("silent"))).toHaveLength(1);
    });
    expect((subscriberProcess.printed() + other.printed()).match(/"site is silent"/g)).toHaveLength(1);
  });

  test("of the subscriber itself makes the reader say not ok when the ok keys have expired", async () => {
    const { url, redis, sender, subscriberProcess } = await running();
    await sender.newBoot()({ intervalMs: 100 });
    await vi.waitFor(async () => expect(await redis.get("service:db:ok")).not.toBeNull(), {
      timeout: 2_000,
      interval: 5,
    });
    subscriberProcess.child.kill("SIGKILL");
    await expect(fetch(`${url}/livez`)).rejects.toThrow("fetch failed");
    const [expiresMs, nowMs] = [await redis.pexpiretime("service:db:ok"), Date.now()];
    expect(expiresMs).toBeGreaterThan(nowMs + 50_000);
    expect(expiresMs).toBeLessThan(nowMs + 61_000);
    // What Redis does when that time has come.
    await redis.del("service:db:ok");
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { db: "NOT_OK" } });
  });
});

describe("a publisher whose clock is off", () => {
  test.each([600_000, -600_000])(
    "by %i ms is not silent while it speaks, and soon when it does not",
    async (aheadMs) => {
      const { url, sender } = await running();
      const stop = keepSending(sender.newBoot(), { aheadMs });
      await expectHealth(url, 6_000, isUp);
      const { warnings } = await expectHealth(url, 4_000, (health) =>
        expect(health.warnings).toHaveLength(1),
      );
      expect(warnings[0]).toMatch(
        aheadMs > 0 ? /clock of site tsd is (599|600|601) s ahead/ : /is (599|600|601) s behind/,
      );
      await holds(3_000, () => expectHealth(url, 100, isUp));
      await stop();
      await expectHealth(url, 4_000, (health) => expect(cause(health)).toBe("publisher_silent"));
    },
  );

  test("leaves a backlog that is as old as it is", async () => {
    const { url, sender, subscriber, subscriberProcess } = await running();
    const send = sender.newBoot();
    const stop = keepSending(send, { aheadMs: 600_000 });
    await expectHealth(url, 8_000, (health) => {
      isUp(health);
      expect(health.warnings).toHaveLength(1);
    });
    subscriberProcess.child.kill("SIGTERM");
    await subscriberProcess.ended();
    await stop();
    await send({ ...hurry, aheadMs: 600_000 });
    // The publisher is dead from here on; its last heartbeats wait in the queue until they are old.
    const diedMs = Date.now();
    await vi.waitFor(() => expect(Date.now() - diedMs).toBeGreaterThan(3_000), { timeout: 5_000 });
    startBundle("subscriber", subscriber);
    await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), {
      timeout: 10_000,
    });
    await holds(1_000, () => expectHealth(url, 100, ({ code }) => expect(code).toBe(503)));
  });
});

describe("two publishers for one site", () => {
  test("show, and fail the site, until one of them is gone", async () => {
    const { url, redis, sender } = await running();
    keepSending(sender.newBoot(), { states: { a: "up" } });
    await expectHealth(url, 3_000, isUp);
    const stopOther = keepSending(sender.newBoot(), { states: { b: "up" } });
    const health = await expectHealth(url, 8_000, ({ code, sites }) => {
      expect({ code, state: sites[0]?.state }).toEqual({ code: 503, state: "contested" });
    });
    expect(health.problems.join()).toContain("two publishers");
    await vi.waitFor(async () =>
      expect(await askReader(redis)).toMatchObject({ http: 503, services: { "heartbeat-tsd": "NOT_OK" } }),
    );
    await stopOther();
    await expectHealth(url, 10_000, isUp);
    await vi.waitFor(async () =>
      expect(await askReader(redis)).toMatchObject({ http: 200, services: { a: "OK" } }),
    );
  });

  test("are none when one replaces the other", async () => {
    expect.hasAssertions();
    const { url, redis, sender } = await running();
    const stopOld = keepSending(sender.newBoot());
    await expectHealth(url, 3_000, isUp);
    keepSending(sender.newBoot());
    await vi.waitFor(async () => {
      const record = await redis.hget("heartbeat:{tsd}:site", "record");
      expect(record?.match(/"replacedAtMs"/g), "the new one speaks").toHaveLength(1);
    });
    await stopOld();
    await holds(4_000, () => expectHealth(url, 100, isUp));
  });
});
