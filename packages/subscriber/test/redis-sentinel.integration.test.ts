import type { Address } from "@pipeline-heartbeat/shared/address.ts";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { freePorts } from "../../../test/brokers/free-ports.ts";
import {
  PRIMARY_NAME,
  type RedisWithSentinel,
  startRedisWithSentinel,
} from "../../../test/brokers/redis-sentinel.ts";
import type { Started } from "../../../test/brokers/started.ts";
import { connectRedis } from "../src/redis/connection.ts";

let servers: Started<RedisWithSentinel>;
beforeAll(async () => void (servers = await startRedisWithSentinel()));
afterAll(() => servers.stop());

/** A connection to the primary that the sentinels name, with all problems that it tells. */
function connect(sentinels: readonly Address[], primaryName = PRIMARY_NAME) {
  const problems: string[] = [];
  const redis = connectRedis(
    {
      servers: { kind: "sentinels", sentinels, primaryName, db: 0 },
      username: undefined,
      password: undefined,
      tls: undefined,
    },
    { away: (problem) => problems.push(problem), nodeAway: () => {} },
  );
  onTestFinished(() => redis.disconnect());
  if (!(redis instanceof Redis)) throw new Error("not a server's client");
  return { redis, problems };
}

const told = async (problems: readonly string[], expected: string) =>
  await vi.waitFor(() => expect(problems).toContain(expected), { timeout: 5_000 });

test("a sentinel that is away is passed over", async () => {
  const { sentinel, primary } = servers.address;
  const [port = 0] = await freePorts(1);
  const { redis, problems } = connect([{ host: "127.0.0.1", port }, sentinel]);
  await vi.waitFor(async () => expect(await redis.ping()).toBe("PONG"));
  expect(await redis.config("GET", "port")).toEqual(["port", String(primary.port)]);
  expect(problems).toEqual([]);
});

test("it is told why no sentinel names the primary", async () => {
  const { sentinel } = servers.address;
  const [port = 0] = await freePorts(1);
  const nobody = { host: "127.0.0.1", port };
  const refused = `nothing listens at 127.0.0.1:${port} (connection refused)`;
  const of = (name: string) => `no sentinel tells where the primary ${name} is`;
  await told(connect([nobody]).problems, `${of(PRIMARY_NAME)}: ${refused}`);
  const unknown = `127.0.0.1:${sentinel.port}: does not know it`;
  await told(connect([nobody, sentinel], "x").problems, `${of("x")}: ${refused}; ${unknown}`);
  const { primary } = servers.address;
  const none = `127.0.0.1:${primary.port}: ERR unknown command 'sentinel'`;
  const { problems } = connect([primary, nobody]);
  await vi.waitFor(() => expect(problems.join()).toContain(`${of(PRIMARY_NAME)}: ${none}`), 5_000);
});

test("a primary that was made a replica is left for the one that the sentinels name", async () => {
  const { primary, replica, sentinel } = servers.address;
  const { redis } = connect([sentinel]);
  await vi.waitFor(async () => expect(await redis.set("key", "before")).toBe("OK"));
  const closed = vi.fn();
  redis.on("close", closed);

  // As in a failover, but that nobody closes the connections to the old primary.
  await sentinel.command("SENTINEL", "REMOVE", PRIMARY_NAME);
  await replica.command("REPLICAOF", "NO", "ONE");
  await primary.command("REPLICAOF", "127.0.0.1", replica.port);
  await sentinel.command("SENTINEL", "MONITOR", PRIMARY_NAME, "127.0.0.1", replica.port, 1);

  expect(closed).not.toHaveBeenCalled();
  await expect(redis.set("key", "after")).rejects.toThrow("READONLY");
  await vi.waitFor(async () => expect(await redis.set("key", "after")).toBe("OK"), 5_000);
  expect(await replica.command("GET", "key")).toBe("after");
});
