import { expect, inject, test, vi } from "vitest";
import packageJson from "../packages/subscriber/package.json" with { type: "json" };
import { type Sample, samplesOf } from "../packages/subscriber/test/samples.ts";
import { freshProxy } from "./fresh-proxy.ts";
import { freshEnvironment, startBundle } from "./processes.ts";
import { startSender } from "./sender.ts";

/** Within 2 s, and how late a busy machine may tell of it. */
const IN_TIME_MS = 2_000 + 300;

const REASONS = [
  "unsigned",
  "unknown_key",
  "bad_signature",
  "wrong_site",
  "replayed",
  "not_a_heartbeat",
  "too_large",
  "too_many_sites",
  "too_many_components",
  "refused_by_redis",
];
/** Nothing was refused, which is told from the start. */
const noneRejected = REASONS.map((reason): Sample => {
  return { name: "heartbeat_messages_rejected_total", labels: { reason }, value: 0 };
});

const version = { name: "heartbeat_build_info", labels: { version: packageJson.version }, value: 1 };

async function scrape(url: string): Promise<Sample[]> {
  const response = await fetch(`${url}/metrics`);
  expect(response.status).toBe(200);
  return samplesOf(await response.text());
}

const plain = (name: string, value: number): Sample => ({ name, labels: {}, value });

test("/metrics tells no old state while Redis is gone, within two seconds", async () => {
  const { url, amqpUrl, subscriber } = await freshEnvironment();
  const redis = await freshProxy(inject("redis"));
  startBundle("subscriber", { ...subscriber, REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port) });
  const send = (await startSender(amqpUrl, "tsd")).newBoot();
  await send({ states: { db: "up" } });
  const labels = { site: "tsd", kind: "service", component: "db" };
  await vi.waitFor(
    async () => {
      const samples = await scrape(url);
      expect(samples).toContainEqual({ name: "probe_success", labels, value: 1 });
      expect(samples).toContainEqual(plain("heartbeat_healthy", 1));
      expect(samples).toContainEqual(plain("heartbeat_store_connected", 1));
    },
    { timeout: 10_000 },
  );

  await redis.set("hold");
  const startedMs = performance.now();
  expect(await scrape(url)).toEqual([
    version,
    plain("heartbeat_broker_connected", 1),
    plain("heartbeat_store_connected", 0),
    plain("heartbeat_store_writable", 0),
    plain("heartbeat_healthy", 0),
    ...noneRejected,
  ]);
  expect(performance.now() - startedMs).toBeLessThan(IN_TIME_MS);
});

test("/metrics is answered without broker and Redis, and says so", async () => {
  const { url, subscriber } = await freshEnvironment();
  startBundle("subscriber", { ...subscriber, RABBITMQ_PORT: "1", REDIS_HOST: "127.0.0.1", REDIS_PORT: "1" });
  const samples = await vi.waitFor(() => scrape(url), { timeout: 10_000 });
  expect(samples).toEqual([
    version,
    plain("heartbeat_broker_connected", 0),
    plain("heartbeat_store_connected", 0),
    plain("heartbeat_store_writable", 0),
    plain("heartbeat_healthy", 0),
    ...noneRejected,
  ]);
});
