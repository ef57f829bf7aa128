import { connect } from "amqplib";
import { Redis } from "ioredis";
import { expect, onTestFinished } from "vitest";
import type { Health } from "../../demo/health.ts";
import { temporaryFile } from "../../test/processes.ts";
import type { SiteBrokers } from "./site-brokers.ts";

/** What upstream's README shows as publisher_config.json, with Redis as the service behind a port. */
const TARGETS = {
  heartbeat: {
    hosts: [{ host: "redis", port: "6379", name: "sda-db" }],
    rmq_consumers: [{ queue: "inbox", listeners: [{ tag: "mq-interceptor", name: "mq-interceptor" }] }],
  },
};

let tests = 0;

/** A worker on a queue, until the test is finished, and what the services need to watch it apart from other tests. */
export async function startPipeline({ amqpUrl, redisAddress, env }: SiteBrokers) {
  const connection = await connect(amqpUrl);
  connection.on("error", () => {}); // the broker may hang at the end
  onTestFinished(() => connection.close().catch(() => {}));
  const channel = await connection.createChannel();
  await channel.assertQueue("inbox");
  const consumerTag = "ctag-/mq-interceptor-1";
  const startWorker = async () => void (await channel.consume("inbox", () => {}, { consumerTag }));
  await startWorker();

  tests += 1;
  const redis = new Redis({ ...redisAddress, db: tests });
  redis.on("error", () => {}); // whoever asks is told
  onTestFinished(() => redis.disconnect());
  const names = { RABBITMQ_QUEUE: `heartbeat-${tests}`, RABBITMQ_ROUTING_KEY: `heartbeat-${tests}` };
  return {
    configPath: temporaryFile("publisher_config.json", JSON.stringify(TARGETS)),
    env: { ...env, ...names, REDIS_DB: String(tests) },
    redis,
    startWorker,
    stopWorker: async () => void (await channel.cancel(consumerTag)),
  };
}

export function isUp({ code, problems }: Health): void {
  expect({ code, problems }).toEqual({ code: 200, problems: [] });
}
