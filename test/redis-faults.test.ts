import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { freePorts } from "./brokers/free-ports.ts";
import { redisStarter, type RedisServer } from "./brokers/redis-servers.ts";
import { expectHealth, freshEnvironment, startBundle } from "./processes.ts";
import { startSender } from "./sender.ts";

/** Within 2 s, and how late a busy machine may tell of it. */
const IN_TIME_MS = 2_000 + 500;
const BACK_WITHIN_MS = 5_000;

type Command = RedisServer["command"];

interface Fault {
  readonly what: string;
  readonly begin: (command: Command) => Promise<unknown>;
  /** Absent where it ends by itself. */
  readonly end?: (command: Command) => Promise<unknown>;
  /** What /health says is the matter with Redis. */
  readonly trouble: string;
  /** What /readyz says. */
  readonly reason: RegExp;
}

const faults: readonly Fault[] = [
  {
    what: "out of memory",
    begin: (command) => command("CONFIG", "SET", "maxmemory", 1),
    end: (command) => command("CONFIG", "SET", "maxmemory", 0),
    trouble: "cannot be stored in Redis, so what it holds may be old: it is out of memory",
    reason: /^redis: OOM /,
  },
  {
    what: "read-only",
    begin: (command) => command("REPLICAOF", "127.0.0.1", 1),
    end: (command) => command("REPLICAOF", "NO", "ONE"),
    trouble: "cannot be stored in Redis, so what it holds may be old: it is a read-only replica",
    reason: /^redis: READONLY /,
  },
  {
    what: "a replica that has lost its primary",
    begin: async (command) => {
      await command("CONFIG", "SET", "replica-serve-stale-data", "no");
      await command("REPLICAOF", "127.0.0.1", 1);
    },
    end: (command) => command("REPLICAOF", "NO", "ONE"),
    trouble: "cannot be read from Redis: it is a replica that has lost its primary",
    reason: /^redis: (MASTERDOWN|READONLY) /,
  },
  {
    what: "without its disk",
    begin: async (command) => {
      await command("CONFIG", "SET", "dir", "/proc");
      await command("CONFIG", "SET", "save", "3600 1000");
      await command("BGSAVE");
    },
    end: (command) => command("CONFIG", "SET", "stop-writes-on-bgsave-error", "no"),
    trouble: "cannot be stored in Redis, so what it holds may be old: it cannot write to its disk",
    reason: /^redis: MISCONF /,
  },
  {
    what: "without enough replicas",
    begin: (command) => command("CONFIG", "SET", "min-replicas-to-write", 1),
    end: (command) => command("CONFIG", "SET", "min-replicas-to-write", 0),
    trouble: "cannot be stored in Redis, so what it holds may be old: it has too few replicas",
    reason: /^redis: NOREPLICAS /,
  },
  {
    what: "mute",
    begin: (command) => command("CLIENT", "PAUSE", 4_000, "ALL"),
    trouble: "cannot be read from Redis: it does not answer",
    reason: /^redis: no answer in time$/,
  },
];

/** A subscriber with a Redis of its own, and a site that has been heard. */
async function runningSubscriber() {
  const { url, amqpUrl, subscriber } = await freshEnvironment();
  const [port = 0] = await freePorts(1);
  const start = await redisStarter();
  const permissive = ["--enable-protected-configs", "yes", "--enable-debug-command", "yes", "--save", ""];
  const restart = async (...args: string[]) => {
    const server = await start({ port, args: [...permissive, ...args] });
    onTestFinished(server.stop);
    return server.address;
  };
  const redis = await restart();
  const variables = { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(port), REDIS_DB: "0" };
  const bundle = startBundle("subscriber", { ...subscriber, ...variables });
  const send = (await startSender(amqpUrl, "tsd")).newBoot();
  await send();
  await expectHealth(url, 10_000, ({ code }) => expect(code).toBe(200));
  /** How often this has been logged. */
  const logged = (words: string) => bundle.printed().split(words).length - 1;
  return { url, redis, restart, bundle, send, logged };
}

async function expectTrouble(url: string, trouble: string, reason: RegExp): Promise<void> {
  await expectHealth(url, IN_TIME_MS, ({ code, problems }) => {
    expect(code).toBe(503);
    expect(problems.join("\n")).toContain(trouble);
  });
  await vi.waitFor(async () => {
    const body: unknown = await (await fetch(`${url}/readyz`)).json();
    expect(body).toEqual({ status: "fail", reasons: [expect.stringMatching(reason)] });
  }, 2_000);
}

/** That the heartbeat that came during the fault was stored after it. */
async function expectStored(url: string, name: string): Promise<void> {
  await expectHealth(url, BACK_WITHIN_MS, ({ code, problems, sites }) => {
    expect({ code, problems }).toEqual({ code: 200, problems: [] });
    expect(sites[0]?.components.map((component) => component.name)).toEqual([name]);
  });
}

test("a Redis that takes no writes fails /health within 2 s, with the reason, and nothing is lost", async () => {
  const { url, redis, bundle, send, logged } = await runningSubscriber();
  for (const [index, { what, begin, end, trouble, reason }] of faults.entries()) {
    // No heartbeat has to come for that.
    await begin(redis.command);
    await expectTrouble(url, trouble, reason);
    await vi.waitFor(() => expect(logged("redis unavailable"), what).toBe(index + 1), 5_000);
    const name = `sent-while-${index}`;
    await send({ states: { [name]: "up" } });
    if (end) await end(redis.command);
    await expectStored(url, name);
    await vi.waitFor(() => expect(logged("redis available again"), what).toBe(index + 1), 5_000);
  }
  bundle.child.kill("SIGTERM");
  expect(await bundle.ended()).toBe(0);
  expect(bundle.printed()).not.toContain("broker unavailable");
});

test("a Redis that was stopped, or is still loading, is told apart, and takes on where it was", async () => {
  const { url, redis, restart, send, logged } = await runningSubscriber();
  await redis.command("DEBUG", "POPULATE", 60, "large", 2_000);
  await redis.command("CONFIG", "SET", "loading-process-events-interval-bytes", 1024);
  await redis.command("CONFIG", "SET", "key-load-delay", 50_000);
  const reloaded = redis.command("DEBUG", "RELOAD").catch(() => {}); // nobody waits so long for an answer
  await expectTrouble(url, "cannot be read from Redis: it is still loading its data", /^redis: LOADING /);
  await send({ states: { "sent-while-loading": "up" } });
  await reloaded;
  await expectStored(url, "sent-while-loading");
  await vi.waitFor(() => expect(logged("redis available again")).toBe(1), 5_000);

  await redis.command("SHUTDOWN", "NOSAVE").catch(() => {}); // it does not answer any more
  await expectTrouble(url, "cannot be read from Redis: there is no connection", /^redis: not connected$/);
  await send({ states: { "sent-while-away": "up" } });
  await restart();
  await expectStored(url, "sent-while-away");
  await vi.waitFor(() => expect(logged("redis available again")).toBe(2), 5_000);
  expect(logged("redis unavailable")).toBe(2);
});

test("a site that Redis alone has lost from its list fails /health at once, until it is listed again", async () => {
  const { url, amqpUrl, redisDb, subscriber } = await freshEnvironment();
  startBundle("subscriber", subscriber);
  const redis = new Redis({ ...inject("redis"), db: redisDb });
  onTestFinished(() => redis.disconnect());
  await (await startSender(amqpUrl, "dead")).newBoot()();
  const sayOther = (await startSender(amqpUrl, "other")).newBoot();
  await sayOther();
  const isUp = ({ code, sites }: { code: number; sites: readonly object[] }) =>
    expect([code, sites.length]).toEqual([200, 2]);
  await expectHealth(url, 10_000, isUp);
  await redis.srem("heartbeat:sites", "dead");
  await expectHealth(url, IN_TIME_MS, ({ code, problems }) => {
    expect(code).toBe(503);
    expect(problems.join()).toContain("what was known of site dead is lost");
  });
  await sayOther();
  await expectHealth(url, BACK_WITHIN_MS, isUp);
});
