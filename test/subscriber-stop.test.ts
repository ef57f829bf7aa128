import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "amqplib";
import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { freePorts } from "./brokers/free-ports.ts";
import { redisStarter } from "./brokers/redis-servers.ts";
import { freshProxy } from "./fresh-proxy.ts";
import { type Bundle, expectHealth, freshEnvironment, startBundle } from "./processes.ts";
import { startSender } from "./sender.ts";

const STOP_DEADLINE_MS = 5_000;

type Fresh = Awaited<ReturnType<typeof freshEnvironment>>;

async function stop({ child, ended }: Bundle): Promise<void> {
  const startedMs = performance.now();
  child.kill("SIGTERM");
  expect(await ended()).toBe(0);
  expect(performance.now() - startedMs).toBeLessThan(STOP_DEADLINE_MS);
}

/** Nothing waits in the queue: what is left of it is in somebody's hands. */
async function untilDelivered(amqpUrl: string): Promise<void> {
  const connection = await connect(amqpUrl);
  const channel = await connection.createChannel();
  await vi.waitFor(async () => expect((await channel.checkQueue("my_queue")).messageCount).toBe(0), 5_000);
  await connection.close();
}

/** How many messages are in the queue, once nobody has any in hand. */
async function queueLength(amqpUrl: string): Promise<number> {
  const connection = await connect(amqpUrl);
  const channel = await connection.createChannel();
  const counted = async () => await channel.checkQueue("my_queue");
  await vi.waitFor(async () => expect((await counted()).consumerCount).toBe(0), 10_000);
  const { messageCount } = await counted();
  await connection.close();
  return messageCount;
}

async function ownRedis() {
  const [port = 0] = await freePorts(1);
  const { address, stop } = await (await redisStarter())({ port, args: ["--save", ""] });
  onTestFinished(stop);
  const variables = { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(port), REDIS_DB: "0" };
  return { ...address, variables };
}

/** A subscriber that has heard a site. */
async function hearingSubscriber({ url, amqpUrl, subscriber }: Fresh, variables: Record<string, string>) {
  const bundle = startBundle("subscriber", { ...subscriber, ...variables });
  const send = (await startSender(amqpUrl, "tsd")).newBoot();
  await send();
  await expectHealth(url, 10_000, ({ code }) => expect(code).toBe(200));
  return { bundle, send };
}

/** What Redis has of the site. */
async function stored(redis: Redis): Promise<{ sequence: number; states: string[] }> {
  const record = JSON.parse((await redis.hget("heartbeat:{tsd}:site", "record")) ?? '{"sequence":0}');
  const entries = await redis.xrange("heartbeat:{tsd}:events", "-", "+");
  const events = entries.map(([, fields]) => fields.join(" "));
  const ofDb = events.map((event) => /name db state (\w+)/.exec(event)?.[1]);
  return { sequence: record.sequence, states: ofDb.filter((state) => state !== undefined) };
}

describe("a stop ends with 0 within five seconds, and what could not be stored stays in the queue,", () => {
  test.each([
    { what: "does not answer", away: ["CLIENT", "PAUSE", 60_000, "ALL"] as const },
    { what: "is away", away: ["SHUTDOWN", "NOSAVE"] as const },
    { what: "is full", away: ["CONFIG", "SET", "maxmemory", 1] as const },
  ])("while Redis $what", async ({ away: [name, ...args] }) => {
    const fresh = await freshEnvironment();
    const redis = await ownRedis();
    const { bundle, send } = await hearingSubscriber(fresh, redis.variables);
    await redis.command(name, ...args).catch(() => {}); // it may end without an answer
    await expectHealth(fresh.url, 3_000, ({ code }) => expect(code).toBe(503));
    await send({ states: { db: "down" } });
    await untilDelivered(fresh.amqpUrl);
    await stop(bundle);
    expect(await queueLength(fresh.amqpUrl)).toBe(1);
    expect(bundle.printed()).not.toContain("broker unavailable");
  });

  test("while a slow Redis keeps it from having looked at all sites", async () => {
    const fresh = await freshEnvironment();
    const { bundle, send } = await hearingSubscriber(fresh, {});
    const others = Array.from({ length: 20 }, (_, index) => `site-${index}`);
    for (const site of others) await (await startSender(fresh.amqpUrl, site)).newBoot()();
    await expectHealth(fresh.url, 5_000, ({ sites }) => expect(sites).toHaveLength(21));
    await stop(bundle);
    await send({ states: { db: "down" } });

    const slow = await freshProxy(inject("redis"));
    await slow.set({ slowMs: 150 });
    const again = startBundle("subscriber", { ...fresh.subscriber, REDIS_PORT: String(slow.port) });
    await vi.waitFor(() => expect(again.printed()).toContain("service:db up -> down"), { timeout: 15_000 });
    await stop(again);
    expect(again.printed()).not.toContain("stop took too long");
    expect(await queueLength(fresh.amqpUrl)).toBe(0);
  });

  test("while the broker does not answer", async () => {
    const fresh = await freshEnvironment();
    const proxy = await freshProxy({ host: inject("rabbitmq").host, port: inject("rabbitmq").amqpPort });
    const variables = { RABBITMQ_HOST: "127.0.0.1", RABBITMQ_PORT: String(proxy.port) };
    const { bundle } = await hearingSubscriber(fresh, variables);
    await proxy.set("hold");
    await stop(bundle);
    expect(bundle.printed()).toContain('"stopping"');
  });
});

test("a second signal kills while the first one waits", async () => {
  const fresh = await freshEnvironment();
  const redis = await ownRedis();
  const { bundle, send } = await hearingSubscriber(fresh, redis.variables);
  await redis.command("CLIENT", "PAUSE", 60_000, "ALL");
  await send();
  await expectHealth(fresh.url, 3_000, ({ code }) => expect(code).toBe(503));
  bundle.child.kill("SIGTERM");
  await vi.waitFor(() => expect(bundle.printed()).toContain('"stopping"'), 3_000);
  const startedMs = performance.now();
  bundle.child.kill("SIGTERM");
  expect(await bundle.ended()).toBe(1);
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

test("a stop amid a stream of heartbeats acknowledges what is stored, and nothing else", async () => {
  const fresh = await freshEnvironment();
  const redis = new Redis({ ...inject("redis"), db: fresh.redisDb });
  onTestFinished(() => redis.disconnect());
  const send = (await startSender(fresh.amqpUrl, "tsd")).newBoot();
  const total = 600;
  for (let sent = 0; sent < total; sent += 1) await send({ states: { db: sent % 2 ? "down" : "up" } });
  const bundle = startBundle("subscriber", fresh.subscriber);
  await vi.waitFor(async () => expect((await stored(redis)).sequence).toBeGreaterThan(0), {
    timeout: 10_000,
    interval: 1,
  });
  await stop(bundle);
  const { sequence } = await stored(redis);
  expect(total - sequence).toBe(await queueLength(fresh.amqpUrl));
});

test("kill -9 at any moment loses nothing that was confirmed, and nothing is told twice", async () => {
  const { amqpUrl, redisDb, subscriber } = await freshEnvironment();
  const redis = new Redis({ ...inject("redis"), db: redisDb });
  onTestFinished(() => redis.disconnect());
  const send = (await startSender(amqpUrl, "tsd")).newBoot();
  const sent: string[] = [];
  const sending = new AbortController();
  const streaming = (async () => {
    while (!sending.signal.aborted) {
      const state = sent.length % 2 ? "down" : "up";
      await send({ states: { db: state }, cause: "change" });
      sent.push(state);
      await sleep(8);
    }
  })();

  for (let killed = 0; killed < 6; killed += 1) {
    const { sequence } = await stored(redis);
    const { child, ended } = startBundle("subscriber", subscriber);
    const someMore = sequence + Math.ceil(Math.random() * 40);
    await vi.waitFor(async () => expect((await stored(redis)).sequence).toBeGreaterThan(someMore), {
      timeout: 15_000,
      interval: 1,
    });
    child.kill("SIGKILL");
    await ended();
  }
  sending.abort();
  await streaming;
  const last = startBundle("subscriber", subscriber);
  // The one before it may have stored all of it, and a process that has only just been started knows no signals.
  await vi.waitFor(async () => {
    expect((await stored(redis)).sequence).toBe(sent.length);
    expect(last.printed()).toContain("broker connected");
  }, 15_000);
  await stop(last);
  expect((await stored(redis)).states).toEqual(sent);
  expect(await queueLength(amqpUrl)).toBe(0);
});
