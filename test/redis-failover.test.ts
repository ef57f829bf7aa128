import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Health } from "../demo/health.ts";
import { startRedisCluster } from "./brokers/redis-cluster.ts";
import { PRIMARY_NAME, startRedisWithSentinel } from "./brokers/redis-sentinel.ts";
import { expectHealth, freshEnvironment, runCommand, startBundle } from "./processes.ts";
import { startSender } from "./sender.ts";

/** Within 2 s, and how late a busy machine may tell of it. */
const IN_TIME_MS = 2_000 + 300;

const addresses = (servers: readonly { host: string; port: number }[]) =>
  servers.map(({ host, port }) => `${host}:${port}`).join(",");
/** A sentinel that does not get its vote at the first try tries again after twice its own time-out. */
const FAILOVER_WITHIN_MS = 40_000;
const isUp = ({ code, problems }: Health) => expect({ code, problems }).toEqual({ code: 200, problems: [] });
const isUnreadable = ({ code, problems }: Health) => {
  expect({ code, problems }).toEqual({
    code: 503,
    problems: [expect.stringMatching(/^the state cannot be read from Redis: /)],
  });
};

/** A subscriber with its state in these servers, and a site that has been heard. */
async function runningSubscriber(redis: Record<string, string>) {
  const { url, amqpUrl, subscriber } = await freshEnvironment();
  const { REDIS_HOST: _host, REDIS_PORT: _port, REDIS_DB: _db, ...rest } = subscriber;
  const env = { ...rest, ...redis };
  const { child, ended, printed } = startBundle("subscriber", env);
  const send = (await startSender(amqpUrl, "tsd")).newBoot();
  await send();
  await expectHealth(url, 10_000, isUp);
  const stop = async () => {
    child.kill("SIGTERM");
    expect(await ended()).toBe(0);
    return printed();
  };
  return { env, url, send, stop };
}

/** Asks /health and /readyz until the end; returns how long the slowest answer took, and how often there was none. */
function asking(url: string) {
  const stopped = new AbortController();
  const asked = (async () => {
    let slowestMs = 0;
    let failures = 0;
    while (!stopped.signal.aborted) {
      const startedMs = performance.now();
      await Promise.all(["health", "readyz"].map((path) => fetch(`${url}/${path}`))).catch(() => {
        failures += 1;
      });
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      await sleep(20);
    }
    return { slowestMs, failures };
  })();
  return async () => {
    stopped.abort();
    return await asked;
  };
}

async function expectReady(url: string, code: number, reasons: unknown): Promise<void> {
  await vi.waitFor(
    async () => {
      const response = await fetch(`${url}/readyz`);
      const body: unknown = await response.json();
      expect({ code: response.status, body }).toMatchObject({ code, body: { reasons } });
    },
    { timeout: 5_000 },
  );
}

describe("a subscriber behind sentinels", () => {
  test("goes on by itself when the primary is killed, and says that it cannot read the state until then", async () => {
    const password = "hunter2-redis";
    const servers = await startRedisWithSentinel(password);
    onTestFinished(() => servers.stop());
    const { sentinel, primary, replica, killPrimary } = servers.address;
    const { url, send, stop } = await runningSubscriber({
      REDIS_SENTINELS: addresses([sentinel]),
      REDIS_SENTINEL_NAME: PRIMARY_NAME,
      REDIS_PASSWORD: password,
      REDIS_DB: "3",
      REDIS_HOST: "elsewhere.invalid",
    });
    const answers = asking(url);
    await killPrimary();
    await expectHealth(url, IN_TIME_MS, isUnreadable);
    await expectReady(url, 503, ["redis: not connected"]);
    await expectHealth(url, FAILOVER_WITHIN_MS, isUp);
    await expectReady(url, 200, []);
    expect(await replica.command("ROLE")).toContain("master");
    await send({ states: { db: "down" } });
    await expectHealth(url, 5_000, ({ problems }) => expect(problems.join()).toContain("service db"));
    const { slowestMs, failures } = await answers();
    expect(failures).toBe(0);
    expect(slowestMs).toBeLessThan(IN_TIME_MS);

    const printed = await stop();
    expect(printed.match(/"redis unavailable"/g)).toHaveLength(1);
    expect(printed).toContain(`"redis":"primary ${PRIMARY_NAME} of the sentinels ${addresses([sentinel])}"`);
    expect(printed).toContain(
      `primary ${PRIMARY_NAME}: nothing listens at ${addresses([primary])} (connection refused)`,
    );
    expect(printed).toContain("REDIS_HOST is not used: REDIS_SENTINELS is set");
    expect(printed).not.toContain(password);
  });

  test("does not hang with a primary that does not answer", async () => {
    const servers = await startRedisWithSentinel();
    onTestFinished(() => servers.stop());
    const { sentinel, primary } = servers.address;
    const { url } = await runningSubscriber({
      REDIS_SENTINELS: addresses([sentinel]),
      REDIS_SENTINEL_NAME: PRIMARY_NAME,
    });
    const answers = asking(url);
    await primary.command("CLIENT", "PAUSE", 60_000, "ALL");
    await expectHealth(url, IN_TIME_MS + 100, isUnreadable);
    await expectReady(url, 503, ["redis: no answer in time"]);
    const { slowestMs, failures } = await answers();
    expect(failures).toBe(0);
    expect(slowestMs).toBeLessThan(IN_TIME_MS);
  });
});

describe("a subscriber with a cluster", () => {
  test("says that it cannot read the state while a node is away, and goes on when it is back", async () => {
    const cluster = await startRedisCluster();
    onTestFinished(() => cluster.stop());
    const nodes = cluster.address;
    const { env, url, send, stop } = await runningSubscriber({ REDIS_CLUSTER_NODES: addresses(nodes) });
    const keys = await Promise.all(nodes.map(({ command }) => command("KEYS", "*")));
    expect(keys.flat().map(String).toSorted()).toEqual([
      "heartbeat:deadlines",
      "heartbeat:generation",
      "heartbeat:sites",
      "heartbeat:{tsd}:events",
      "heartbeat:{tsd}:site",
    ]);

    const answers = asking(url);
    await nodes[0]?.kill();
    await expectHealth(url, 5_000, isUnreadable);
    await expectReady(url, 503, [expect.stringMatching(/^redis: (CLUSTERDOWN|not connected)/)]);
    await nodes[0]?.restart();
    await expectHealth(url, 15_000, isUp);
    await expectReady(url, 200, []);
    await send({ states: { db: "down" } });
    await expectHealth(url, 5_000, ({ problems }) => expect(problems.join()).toContain("service db"));
    const { slowestMs, failures } = await answers();
    expect(failures).toBe(0);
    expect(slowestMs).toBeLessThan(IN_TIME_MS);

    const cleaned = await runCommand("subscriber", ["clean-reader-keys"], env);
    expect(cleaned).toMatchObject({ exitCode: 0, stderr: "" });
    const forgotten = await runCommand("subscriber", ["forget-site", "tsd"], env);
    expect(forgotten).toMatchObject({ exitCode: 0, stderr: "" });
    await expectHealth(url, 2_000, ({ sites }) => expect(sites).toEqual([]));

    const printed = await stop();
    expect(printed.match(/"redis unavailable"/g)).toHaveLength(1);
    expect(printed).toContain(`"redis":"cluster ${addresses(nodes).replaceAll(",", ", ")}"`);
    for (const { kill } of nodes) await kill();
    const nowhere = await runCommand("subscriber", ["forget-site", "tsd"], env);
    expect(nowhere).toMatchObject({ exitCode: 1, stdout: "" });
    for (const { port } of nodes) {
      expect(nowhere.stderr).toContain(`nothing listens at 127.0.0.1:${port} (connection refused)`);
    }
  });
});
