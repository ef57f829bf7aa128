import { connect } from "amqplib";
import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import type { Health } from "../demo/health.ts";
import { expectHealth, freshEnvironment, runCommand, startBundle } from "./processes.ts";
import { documentedUser } from "./redis-rights.ts";
import { startSender } from "./sender.ts";

/** A subscriber, and a user for it with no rights but the documented ones. */
async function environment() {
  const fresh = await freshEnvironment();
  const redis = new Redis({ ...inject("redis"), db: fresh.redisDb });
  const { name, password, rules } = documentedUser("server");
  await redis.call("ACL", "SETUSER", ...rules);
  onTestFinished(async () => {
    await redis.call("ACL", "DELUSER", name);
    redis.disconnect();
  });
  const subscriber = { ...fresh.subscriber, REDIS_USERNAME: name, REDIS_PASSWORD: password };
  /** What Redis has refused of late, with the names of those whom it refused it. */
  const refusals = async () => JSON.stringify(await redis.call("ACL", "LOG", 128));
  return { ...fresh, subscriber, redis, refusals };
}

/** Has a message that nobody can read wait in the queue. */
async function sendRubbish(amqpUrl: string): Promise<void> {
  const connection = await connect(amqpUrl);
  const channel = await connection.createConfirmChannel();
  channel.publish("my_topic_exchange", "service.heartbeat", Buffer.from("rubbish"));
  await channel.waitForConfirms();
  await connection.close();
}

const sites = ({ sites }: Health) => sites.map(({ site, state }) => `${site} ${state}`).toSorted();
const OLD = "2024-01-01 00:00:00 UTC";

describe("the rights in Redis that the docs give", () => {
  test.each(["reader-safe", "upstream", "off"])(
    "are all that the subscriber and its commands take, with LEGACY_KEYS=%s",
    async (legacyKeys) => {
      const { url, amqpUrl, redis, refusals, ...rest } = await environment();
      const subscriber = { ...rest.subscriber, LEGACY_KEYS: legacyKeys, EXPECTED_SITES: "tsd" };
      await redis.mset({ "service:gone:not_ok": OLD, "queue:gone:ok": OLD });
      const { child, ended, printed } = startBundle("subscriber", subscriber);
      const [old, tsd] = [await startSender(amqpUrl, "old"), await startSender(amqpUrl, "tsd")];
      const send = tsd.newBoot();
      await sendRubbish(amqpUrl);
      await old.newBoot()({ intervalMs: 100 });
      await send({ states: { db: "up", mq: "unknown" } });
      await expectHealth(url, 10_000, (health) => expect(sites(health)).toEqual(["old silent", "tsd fresh"]));
      expect(await redis.llen("heartbeat:rejected")).toBe(1);

      await send({ states: { db: "down" }, cause: "change" });
      await expectHealth(url, 5_000, ({ problems }) =>
        expect(problems.join()).toContain("service db (site tsd)"),
      );
      const forgotten = await runCommand("subscriber", ["forget-site", "old"], subscriber);
      expect(forgotten).toMatchObject({ exitCode: 0, stderr: "" });
      const cleaned = await runCommand("subscriber", ["clean-reader-keys", "--yes"], subscriber);
      expect(cleaned).toMatchObject({ exitCode: 0, stderr: "" });
      expect(await redis.exists("service:gone:not_ok", "queue:gone:ok")).toBe(0);

      await redis.flushdb();
      await send({ states: { db: "up" }, cause: "change" });
      await expectHealth(url, 5_000, ({ code }) => expect(code).toBe(200));
      child.kill("SIGTERM");
      expect(await ended()).toBe(0);
      expect(printed()).not.toMatch(/redis unavailable|NOPERM/);
      expect(await refusals()).not.toContain(subscriber.REDIS_USERNAME);
    },
  );
});
