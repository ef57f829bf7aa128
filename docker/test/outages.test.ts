import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { Health } from "../../demo/health.ts";
import { askReader } from "../../packages/subscriber/test/ask-reader.ts";
import { expectHealth } from "../../test/processes.ts";
import { isUp, startPipeline } from "./pipeline.ts";
import { startService, stopped } from "./service-container.ts";
import { type SiteBrokers, startSiteBrokers } from "./site-brokers.ts";

const HURRY = { PUBLISH_INTERVAL: "2", PROBE_INTERVAL: "1" };
/** SILENCE_FACTOR is 2.5. */
const SILENT_AFTER_MS = 5_000;
const REDIS_AWAY = [expect.stringMatching(/^the state cannot be read from Redis: /)];
/** With what a busy machine adds to the two seconds that are promised. */
const TOLD_WITHIN_MS = 3_000;

let brokers: SiteBrokers;
beforeAll(async () => {
  brokers = await startSiteBrokers();
  return () => brokers.stop();
});

/** Both services, of which all is well, with a queue and a database of their own. */
async function runningServices() {
  const { network } = brokers;
  const { configPath, env, redis } = await startPipeline(brokers);
  const mounts = { "/publisher_config.json": configPath };
  const subscriber = await startService("subscriber", { network, env });
  const publisher = await startService("publisher", { network, mounts, env: { ...env, ...HURRY } });
  await expectHealth(subscriber.url, 30_000, isUp);
  return { subscriber, publisher, url: subscriber.url, redis };
}

/** Until it is told otherwise, or the test is finished. */
async function pause(container: SiteBrokers["redis"]): Promise<() => Promise<void>> {
  await container.pause();
  let isPaused = true;
  async function unpause(): Promise<void> {
    if (isPaused) await container.unpause();
    isPaused = false;
  }
  onTestFinished(unpause);
  return unpause;
}

const isSilent = ({ code, sites }: Health) => {
  expect({ code, state: sites[0]?.state, cause: sites[0]?.cause }).toEqual({
    code: 503,
    state: "silent",
    cause: "publisher_silent",
  });
};

const isWithoutRedis = ({ code, problems }: Health) =>
  expect({ code, problems }).toEqual({ code: 503, problems: REDIS_AWAY });

describe("an outage", () => {
  test("of Redis, which comes back empty, is told in two seconds, and all is written again", async () => {
    const { url, redis } = await runningServices();
    onTestFinished(async () => void (await brokers.redis.start().catch(() => {}))); // it runs already
    await brokers.redis.stop({ t: 0 });
    await expectHealth(url, TOLD_WITHIN_MS, isWithoutRedis);
    await brokers.redis.start();
    await expectHealth(url, 15_000, isUp);
    await vi.waitFor(
      async () =>
        expect(await askReader(redis)).toMatchObject({ http: 200, services: { "mq-interceptor": "OK" } }),
      2_000,
    );
  });

  test("of a Redis that hangs is told in two seconds as well, and over when it goes on", async () => {
    const { url } = await runningServices();
    const unpause = await pause(brokers.redis);
    await expectHealth(url, TOLD_WITHIN_MS, isWithoutRedis);
    const startedMs = performance.now();
    expect((await fetch(`${url}/health`)).status).toBe(503);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect(performance.now() - startedMs).toBeLessThan(2 * TOLD_WITHIN_MS);
    await unpause();
    await expectHealth(url, 15_000, isUp);
  });

  test("of a publisher that hangs is a silence, and over when it goes on", async () => {
    const { url, publisher, redis } = await runningServices();
    const unpause = await pause(publisher.handle);
    await expectHealth(url, SILENT_AFTER_MS + 2_000, isSilent);
    await vi.waitFor(async () => expect(await askReader(redis)).toMatchObject({ http: 503 }), 2_000);
    await unpause();
    await expectHealth(url, 10_000, isUp);
  });

  test("of a RabbitMQ that hangs is noticed in thirty seconds, and over when it goes on", async () => {
    const { url } = await runningServices();
    const unpause = await pause(brokers.rabbitmq);
    await expectHealth(url, SILENT_AFTER_MS + 2_000, isSilent);
    // By then it is known that nobody could have heard the publisher.
    await expectHealth(url, 30_000, ({ code, sites }) =>
      expect({ code, cause: sites[0]?.cause }).toEqual({ code: 503, cause: "broker_unreachable" }),
    );
    const readiness = await fetch(`${url}/readyz`);
    expect(await readiness.json()).toEqual({ status: "fail", reasons: ["the broker is not connected"] });
    await unpause();
    await expectHealth(url, 30_000, isUp);
  });
});

describe("docker stop", () => {
  test("ends both services with 0 within five seconds", async () => {
    const { publisher, subscriber } = await runningServices();
    expect(await stopped(publisher, "SIGTERM")).toMatchObject({ exitCode: 0, inTime: true });
    expect(await stopped(subscriber, "SIGTERM")).toMatchObject({ exitCode: 0, inTime: true });
    for (const { printed } of [publisher, subscriber]) expect(printed()).not.toContain('"level":40');
  });

  test("does so too while RabbitMQ and Redis hang", async () => {
    const { publisher, subscriber } = await runningServices();
    await pause(brokers.rabbitmq);
    await pause(brokers.redis);
    expect(await stopped(publisher, "SIGTERM")).toMatchObject({ exitCode: 0, inTime: true });
    expect(await stopped(subscriber, "SIGTERM")).toMatchObject({ exitCode: 0, inTime: true });
    expect(publisher.printed()).toContain("goodbye was not confirmed");
  });

  test("twice does not wait for a broker that hangs", async () => {
    const { publisher } = await runningServices();
    await pause(brokers.rabbitmq);
    await publisher.handle.kill({ signal: "SIGTERM" });
    await expect.poll(publisher.printed, { timeout: 5_000 }).toContain('"msg":"stopping"');
    expect(await stopped(publisher, "SIGTERM")).toMatchObject({ exitCode: 1, inTime: true });
    expect(publisher.printed()).not.toContain("goodbye was not confirmed");
  });
});
