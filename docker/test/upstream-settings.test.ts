import { beforeAll, describe, expect, test, vi } from "vitest";
import { askReader } from "../../packages/subscriber/test/ask-reader.ts";
import { expectHealth } from "../../test/processes.ts";
import { isUp, startPipeline } from "./pipeline.ts";
import { startService } from "./service-container.ts";
import { type SiteBrokers, startSiteBrokers } from "./site-brokers.ts";

/** The example of upstream's README, word for word. */
const PUBLISHER = {
  HEARTBEAT_MODE: "publisher",
  RABBITMQ_HOST: "mq",
  RABBITMQ_PORT: "5672",
  RABBITMQ_USER: "admin",
  RABBITMQ_PASS: "admin",
  RABBITMQ_VHOST: "test",
  RABBITMQ_EXCHANGE: "my_exchange",
  RABBITMQ_QUEUE: "heartbeat",
  RABBITMQ_ROUTING_KEY: "my_exchange_heartbeat",
  RABBITMQ_TLS: "false",
  RABBITMQ_CA_CERT_PATH: "",
  RABBITMQ_TLS_PORT: "5671",
  PUBLISH_INTERVAL: "60",
  RABBITMQ_MANAGEMENT_PORT: "15671",
};

/** The same for the other role, with the variables that only it reads. */
const SUBSCRIBER = {
  ...PUBLISHER,
  HEARTBEAT_MODE: "subscriber",
  REDIS_HOST: "redis",
  REDIS_PORT: "6379",
  REDIS_DB: "0",
};

/** The management API's statistics lag behind by up to this. */
const STATISTICS_LAG_MS = 6_000;

let brokers: SiteBrokers;
beforeAll(async () => {
  brokers = await startSiteBrokers();
  return () => brokers.stop();
});

describe("with the settings of upstream's example, locked down, the images", () => {
  test("do the main job, once RABBITMQ_MANAGEMENT_PORT is one where somebody answers", async () => {
    const { network } = brokers;
    const { configPath, startWorker, stopWorker, redis, env: own } = await startPipeline(brokers);
    const { url } = await startService("subscriber", {
      network,
      env: { ...SUBSCRIBER, REDIS_DB: own.REDIS_DB },
    });
    const mounts = { "/publisher_config.json": configPath };

    // The example's own is that of TLS, without TLS: workers can only be counted, and any of them might be another one.
    const env = { ...PUBLISHER, PROBE_INTERVAL: "1" };
    const first = await startService("publisher", { network, mounts, env });
    await expectHealth(url, 20_000, ({ code, problems }) => {
      expect(code).toBe(503);
      expect(problems).toEqual([
        expect.stringMatching(/^queue inbox .* is unknown /),
        expect.stringMatching(/^service mq-interceptor .* is unknown /),
      ]);
    });
    expect(await askReader(redis)).toMatchObject({
      http: 503,
      services: { "sda-db": "OK", "mq-interceptor": "NOT_OK" },
    });
    await expect.poll(first.printed, { timeout: 5_000 }).toContain("management API unavailable");
    await first.handle.stop();

    await startService("publisher", { network, mounts, env: { ...env, RABBITMQ_MANAGEMENT_PORT: "15672" } });
    await expectHealth(url, 10_000 + STATISTICS_LAG_MS, isUp);
    expect(await askReader(redis)).toMatchObject({
      http: 200,
      services: { "sda-db": "OK", "mq-interceptor": "OK" },
      queues: { inbox: "OK" },
    });

    await stopWorker();
    await expectHealth(url, 2_000 + STATISTICS_LAG_MS, ({ code, problems }) => {
      expect(code).toBe(503);
      expect(problems.join("\n")).toContain("service mq-interceptor (site default) is down");
    });
    await vi.waitFor(async () =>
      expect(await askReader(redis)).toMatchObject({ http: 503, services: { "mq-interceptor": "NOT_OK" } }),
    );
    await startWorker();
    await expectHealth(url, 10_000 + STATISTICS_LAG_MS, isUp);
  });
});
