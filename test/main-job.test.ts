import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { connect } from "amqplib";
import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import type { Health } from "../demo/health.ts";
import { askReader } from "../packages/subscriber/test/ask-reader.ts";
import { freePorts } from "./brokers/free-ports.ts";
import { expectHealth, expectReady, freshEnvironment, startBundle, temporaryFile } from "./processes.ts";

/** The management API's statistics lag behind by up to this. */
const STATISTICS_LAG_MS = 6_000;

const isUp = ({ code, problems }: Health) => expect({ code, problems }).toEqual({ code: 200, problems: [] });
const isDown = (what: string) => (health: Health) => {
  expect(health.code).toBe(503);
  expect(health.problems.join("\n")).toContain(`${what} (site tsd) is down`);
};

/** A worker on a queue and a TCP service, watched by a publisher that would speak of itself only once an hour. */
async function runningPipeline(env: Record<string, string> = {}) {
  const fresh = await freshEnvironment();
  const connection = await connect(fresh.amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createChannel();
  await channel.assertQueue("ingest");
  const consumerTag = "ctag-/app/sda-ingest-1";
  const startWorker = async () => void (await channel.consume("ingest", () => {}, { consumerTag }));
  await startWorker();

  const [port = 0] = await freePorts(1);
  const database = net.createServer((socket) => socket.end());
  const startDatabase = async () => void (await once(database.listen(port, "127.0.0.1"), "listening"));
  await startDatabase();
  onTestFinished(() => void database.close());

  const config = {
    heartbeat: {
      hosts: [{ host: "127.0.0.1", port, name: "sda-db" }],
      rmq_consumers: [{ queue: "ingest", listeners: [{ tag: "sda-ingest", name: "sda-ingest" }] }],
    },
  };
  const publisherEnv = {
    ...fresh.publisher,
    HEARTBEAT_SITE: "tsd",
    PUBLISHER_CONFIG_PATH: temporaryFile("publisher_config.json", JSON.stringify(config)),
    PUBLISH_INTERVAL: "3600",
    PROBE_INTERVAL: "1",
    ...env,
  };
  startBundle("subscriber", fresh.subscriber);
  const publisher = startBundle("publisher", publisherEnv);
  return {
    ...fresh,
    publisher,
    startWorker,
    stopWorker: async () => void (await channel.cancel(consumerTag)),
    startDatabase,
    stopDatabase: async () => void (await once(database.close(), "close")),
  };
}

async function redisOf(db: number): Promise<Redis> {
  const redis = new Redis({ ...inject("redis"), db });
  onTestFinished(() => redis.disconnect());
  return redis;
}

describe("the main job", () => {
  test("a worker that disappears and a host that refuses are named in time, whatever PUBLISH_INTERVAL is", async () => {
    const { url, redisDb, ...pipeline } = await runningPipeline();
    const redis = await redisOf(redisDb);
    await expectHealth(url, 20_000, isUp);
    expect(await askReader(redis)).toMatchObject({
      http: 200,
      services: { "sda-db": "OK", "sda-ingest": "OK" },
    });
    await pipeline.stopDatabase();
    await expectHealth(url, 1_000 + 2_000, isDown("service sda-db"));
    await pipeline.startDatabase();
    await expectHealth(url, 10_000, isUp);

    // By now consumers have been seen after the connect, so that an empty list is not doubted.
    await pipeline.stopWorker();
    await expectHealth(url, 2_000 + STATISTICS_LAG_MS, isDown("service sda-ingest"));
    await expectHealth(url, 1_000, isDown("queue ingest"));
    expect(await askReader(redis)).toMatchObject({ http: 503, services: { "sda-ingest": "NOT_OK" } });
    await pipeline.startWorker();
    await expectHealth(url, 10_000, isUp);
    expect(await askReader(redis)).toMatchObject({ http: 200 });
  });

  test("without the management API a worker is unknown, and down when nobody is on its queue", async () => {
    const { url, publisher, stopWorker } = await runningPipeline({
      RABBITMQ_MANAGEMENT_URL: "http://127.0.0.1:1",
      PUBLISH_INTERVAL: "1",
    });
    const isUnknown = ({ code, problems }: Health) => {
      expect(code).toBe(503);
      expect(problems).toHaveLength(2);
      expect(problems.join()).toMatch(/service sda-ingest .* is unknown since .*: management_unreachable/);
    };
    await expectHealth(url, 20_000, isUnknown);
    await stopWorker();
    await expectHealth(url, 4_000, isDown("service sda-ingest"));
    expect(publisher.printed().match(/management API unavailable/g)).toHaveLength(1);
    expect(publisher.printed()).toContain("consumers are counted by passive declares meanwhile");
  });

  test("where consumers are only to be counted, a worker is up while one is attached", async () => {
    const { url, redisDb, stopWorker, startWorker } = await runningPipeline({
      RABBITMQ_CONSUMER_SOURCE: "passive",
      RABBITMQ_MANAGEMENT_URL: "http://127.0.0.1:1",
    });
    const { sites } = await expectHealth(url, 20_000, isUp);
    expect(JSON.stringify(sites)).toContain('"tag_unchecked"');
    expect(await askReader(await redisOf(redisDb))).toMatchObject({ http: 200 });
    await stopWorker();
    // There are no statistics that could lag.
    await expectHealth(url, 4_000, isDown("service sda-ingest"));
    await startWorker();
    await expectHealth(url, 3_000, isUp);
  });

  test("a publisher that is killed leaves a silent site behind, for /health and for the reader", async () => {
    const { url, redisDb, publisher } = await runningPipeline({ PUBLISH_INTERVAL: "1" });
    const redis = await redisOf(redisDb);
    await expectHealth(url, 20_000, isUp);
    publisher.child.kill("SIGKILL");
    const health = await expectHealth(url, 2_500 + 1_000, ({ code }) => expect(code).toBe(503));
    expect(health.problems.join()).toContain("site tsd is silent");
    expect(health.sites[0]?.components.map(({ state }) => state)).toEqual(["unknown", "unknown", "unknown"]);
    await vi.waitFor(async () => expect(await askReader(redis)).toMatchObject({ http: 503 }), 1_000);
  });

  test("upstream's heartbeats are taken in, and garbage between them is kept, told once and passed by", async () => {
    const { url, amqpUrl, redisDb, subscriber: env } = await freshEnvironment();
    const subscriber = startBundle("subscriber", env);
    await expectReady(url);

    const [message = ""] = readFileSync(
      new URL("../packages/shared/test/vectors/upstream-messages.jsonl", import.meta.url),
      "utf8",
    ).split("\n");
    const now = `${new Date().toISOString().slice(0, 19).replace("T", " ")} UTC`;
    const connection = await connect(amqpUrl);
    onTestFinished(() => connection.close());
    const channel = await connection.createConfirmChannel();
    for (const body of ["garbage", "{}", message.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g, now)]) {
      channel.publish("my_topic_exchange", "service.heartbeat", Buffer.from(body));
    }
    await channel.waitForConfirms();

    await expectHealth(url, 5_000, isUp);
    const redis = await redisOf(redisDb);
    expect(await redis.lrange("heartbeat:rejected", 0, -1)).toHaveLength(2);
    await vi.waitFor(async () => expect((await channel.checkQueue("my_queue")).messageCount).toBe(0));
    subscriber.child.kill("SIGTERM");
    expect(await subscriber.ended()).toBe(0);
    expect(subscriber.printed().match(/"not JSON"/g)).toHaveLength(1);
    expect(subscriber.printed().match(/not a heartbeat/g)).toHaveLength(1);
  });
});
