import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "amqplib";
import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { startRedisCluster } from "./brokers/redis-cluster.ts";
import { expectHealth, freshEnvironment, runCommand, startBundle } from "./processes.ts";
import { startSender } from "./sender.ts";

const OPERATIONS = readFileSync(new URL("../docs/operations.md", import.meta.url), "utf8");
const PASSWORD = "secret";
const OLD = "2024-01-01 00:00:00 UTC";

type Fresh = Awaited<ReturnType<typeof freshEnvironment>>;

describe("Redis's access rules in docs/operations.md are enough", () => {
  test.each(["reader-safe", "upstream", "off"])("on one server with LEGACY_KEYS=%s", async (LEGACY_KEYS) => {
    const fresh = await freshEnvironment();
    const redis = new Redis({ ...inject("redis"), db: fresh.redisDb });
    const user = `documented-${randomUUID()}`;
    onTestFinished(async () => {
      await redis.call("ACL", "DELUSER", user);
      redis.disconnect();
    });
    await redis.call("ACL", "SETUSER", user, ...documentedRules("~service:*"));
    const env = { ...fresh.subscriber, ...redisCredentials(user), LEGACY_KEYS };
    await useAll(fresh, env, async () => {
      await redis.flushdb();
      await redis.mset({ "service:left:ok": OLD, "queue:left:not_ok": OLD });
    });
    expect(await redis.exists("service:left:ok", "queue:left:not_ok")).toBe(0);
    expect(JSON.stringify(await redis.call("ACL", "LOG"))).not.toContain(user);
  });

  test("in a cluster", async () => {
    const fresh = await freshEnvironment();
    const cluster = await startRedisCluster();
    onTestFinished(() => cluster.stop());
    const rules = documentedRules("+cluster|slots");
    for (const { command } of cluster.address) await command("ACL", "SETUSER", "documented", ...rules);

    const { REDIS_HOST: _host, REDIS_PORT: _port, REDIS_DB: _db, ...subscriber } = fresh.subscriber;
    const nodes = cluster.address.map(({ host, port }) => `${host}:${port}`).join(",");
    const env = { ...subscriber, ...redisCredentials("documented"), REDIS_CLUSTER_NODES: nodes };
    await useAll(fresh, env, async () => {
      for (const { command } of cluster.address) await command("FLUSHALL");
    });
    for (const { command } of cluster.address) expect(await command("ACL", "LOG")).toEqual([]);
  });

  /** Those of the one line in which this one is. */
  function documentedRules(one: string): string[] {
    const lines = [...OPERATIONS.matchAll(/^ACL SETUSER hb-sub ([^`]*)/gm)].map(([, rules = ""]) =>
      rules.trim().split(/\s+/),
    );
    const found = lines.filter((rules) => rules.includes(one));
    expect(found).toHaveLength(1);
    return found.flat().map((rule) => (rule === ">PASSWORD" ? `>${PASSWORD}` : rule));
  }

  const redisCredentials = (user: string) => ({ REDIS_USERNAME: user, REDIS_PASSWORD: PASSWORD });

  /** The subscriber and its commands, with everything that makes them ask something of Redis. */
  async function useAll(
    { url, amqpUrl }: Fresh,
    variables: Readonly<Record<string, string>>,
    empty: () => Promise<unknown>,
  ): Promise<void> {
    const env = { ...variables, EXPECTED_SITES: "tsd" };
    const subscriber = startBundle("subscriber", env);
    const send = (await startSender(amqpUrl, "tsd")).newBoot();
    await send({ states: { db: "up", mq: "up" } });
    await (await startSender(amqpUrl, "old")).newBoot()({ states: { gone: "down" }, intervalMs: 100 });
    await sendNoHeartbeat(amqpUrl);
    await expectHealth(url, 10_000, ({ sites }) =>
      expect(sites.map(({ site, state }) => `${site} ${state}`).toSorted()).toEqual([
        "old silent",
        "tsd fresh",
      ]),
    );
    await vi.waitFor(() => expect(subscriber.printed()).toContain("message quarantined"), { timeout: 5_000 });
    await vi.waitFor(() => expect(subscriber.printed()).toContain("site is silent"), { timeout: 5_000 });
    await empty();
    await vi.waitFor(() => expect(subscriber.printed()).toContain("redis had lost its data"), {
      timeout: 5_000,
    });
    for (const args of [
      ["forget-site", "old"],
      ["clean-reader-keys", "--yes"],
    ])
      expect(await runCommand("subscriber", args, env)).toMatchObject({ exitCode: 0, stderr: "" });
    await send({ states: { db: "down" }, cause: "change" });
    await expectHealth(url, 5_000, ({ problems }) => expect(problems.join()).toContain("service db"));
    subscriber.child.kill("SIGTERM");
    expect(await subscriber.ended()).toBe(0);

    // What it does at its start, with records of sites in Redis.
    const next = startBundle("subscriber", env);
    await send({ states: { db: "up" } });
    await expectHealth(url, 10_000, ({ code }) => expect(code).toBe(200));
    expect(subscriber.printed() + next.printed()).not.toMatch(/unavailable|NOPERM/);
  }

  async function sendNoHeartbeat(amqpUrl: string): Promise<void> {
    const connection = await connect(amqpUrl);
    const channel = await connection.createConfirmChannel();
    channel.publish("my_topic_exchange", "service.heartbeat", Buffer.from("no heartbeat"));
    await channel.waitForConfirms();
    await connection.close();
  }
});
