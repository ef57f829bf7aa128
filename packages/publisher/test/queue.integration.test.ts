import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type Channel, connect, type Options } from "amqplib";
import { pino } from "pino";
import { describe, inject, test, vi } from "vitest";
import { managementHeaders, managementUrl } from "../../../test/brokers/addresses.ts";
import { freshVhost, type WhenFinished } from "../../../test/fresh.ts";
import type { Surroundings } from "../src/probe-kind.ts";
import type { Look, Observation } from "../src/probe.ts";
import { deadLetter } from "../src/probes/dead-letter.ts";
import { management } from "../src/probes/management.ts";
import { queue } from "../src/probes/queue.ts";

type Credentials = Readonly<Record<"user" | "password", string>>;

/** Statistics lag by up to 5 s, those of a quorum queue by twice as much. */
const LAG = { timeout: 20_000, interval: 200 };
/** Of the shortest `stalledAfter`. */
const STALL = { timeout: 40_000, interval: 200 };
const SHORTEST_S = 10;
const QUORUM = { durable: true, arguments: { "x-queue-type": "quorum" } };
const STREAM = { durable: true, arguments: { "x-queue-type": "stream" } };

const soon = () => AbortSignal.timeout(5_000);

interface Work {
  readonly queue: string;
  readonly does: "ack" | "hold" | "reject" | "requeue";
  readonly afterMs?: number;
  readonly prefetch?: number;
}

/** A vhost of its own, gone when the test is finished. */
async function freshBroker(whenFinished: WhenFinished) {
  const { name: vhost, amqpUrl } = await freshVhost("/é", whenFinished);
  const connection = await connect(amqpUrl);
  whenFinished(() => connection.close());
  return {
    channel: await connection.createConfirmChannel(),

    /** A worker that is attached, in a process of its own. */
    async startWorker(work: Work): Promise<ChildProcess> {
      const args = [amqpUrl, work.queue, work.does, String(work.afterMs ?? 0), String(work.prefetch ?? 1)];
      const child = fork(new URL("./queue-worker.ts", import.meta.url), args);
      whenFinished(() => void child.kill("SIGKILL"));
      await once(child, "message");
      return child;
    },

    /** What a probe is given, whose user the administrator is unless another is named. */
    surroundings(credentials?: Credentials): Surroundings {
      const { host, amqpPort, managementPort, user, password } = { ...inject("rabbitmq"), ...credentials };
      const api = management({
        url: `http://${host}:${managementPort}`,
        user,
        password,
        vhost,
        tls: undefined,
      });
      whenFinished(() => api.close());
      return {
        management: api,
        brokerConnectedAtMs: () => 0,
        broker: { host, amqpPort, user, password, vhost, tls: undefined },
        now: Date.now,
        log: pino({ level: "silent" }),
      };
    },

    /** A user who may enter the vhost and read. */
    async userWith(tags: string): Promise<Credentials> {
      const user = `looker-${randomBytes(6).toString("hex")}`;
      const password = "p";
      await manage("PUT", `users/${user}`, { password, tags });
      whenFinished(() => manage("DELETE", `users/${user}`));
      const permissions = { configure: "^$", write: "^$", read: ".*" };
      await manage("PUT", `permissions/${encodeURIComponent(vhost)}/${user}`, permissions);
      return { user, password };
    },
  };
}

async function manage(method: "PUT" | "DELETE", path: string, body: object = {}): Promise<void> {
  const rabbitmq = inject("rabbitmq");
  const request = { method, headers: managementHeaders(rabbitmq), body: JSON.stringify(body) };
  const response = await fetch(managementUrl(rabbitmq, path), request);
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
}

async function declare(channel: Channel, name: string, messages: number, options: Options.AssertQueue = {}) {
  await channel.assertQueue(name, options);
  send(channel, name, messages);
}

function send(channel: Channel, name: string, messages: number): void {
  for (let index = 0; index < messages; index += 1) channel.sendToQueue(name, Buffer.from(`${index}`));
}

function queueLook(all: Surroundings, options: { queue: string } & Record<string, unknown>): Look {
  return queue.start(queue.options.parse(options), all);
}

function deadLetterLook(all: Surroundings, options: { queue: string; max?: number }): Look {
  return deadLetter.start(deadLetter.options.parse(options), all);
}

async function inWords(look: Look): Promise<string> {
  const { state, reason } = await look(soon());
  return reason === undefined ? state : `${state} ${reason}`;
}

/** Side by side: most of their time they wait for statistics. */
describe.concurrent("of a real broker", () => {
  test("a worker that was stopped is stalled while still attached, for a new publisher at once, until it goes on", async ({
    expect,
    onTestFinished,
  }) => {
    const { channel, startWorker, surroundings } = await freshBroker(onTestFinished);
    await declare(channel, "ingest", 5);
    const worker = await startWorker({ queue: "ingest", does: "ack", afterMs: 100, prefetch: 3 });
    const all = surroundings();
    const options = { queue: "ingest", stalledAfter: SHORTEST_S };
    const look = queueLook(all, options);
    await expect.poll(() => inWords(look), LAG).toBe("up");
    worker.kill("SIGSTOP");
    send(channel, "ingest", 20);

    let stalled: Observation | undefined;
    await vi.waitFor(async () => {
      stalled = await look(soon());
      expect(stalled).toMatchObject({ state: "down", reason: "queue_stalled" });
      // For so long that RabbitMQ's own memory, which is less exact, knows it as well.
      expect(stalled.values?.["stalled_seconds"]).toBeGreaterThan(2 * SHORTEST_S);
    }, 2 * STALL.timeout);
    expect(stalled?.values).toMatchObject({ consumers: 1, messages_unacknowledged: 3, messages_ready: 17 });
    const restarted = await queueLook(all, options)(soon());
    expect(restarted).toMatchObject({ state: "down", reason: "queue_stalled" });
    expect(restarted.values?.["stalled_seconds"]).toBeGreaterThanOrEqual(SHORTEST_S);

    worker.kill("SIGCONT");
    await expect.poll(() => inWords(look), LAG).toBe("up");
    await vi.waitFor(async () => {
      expect((await look(soon())).values).toMatchObject({ messages_ready: 0, stalled_seconds: 0 });
    }, LAG);
  }, 150_000);

  test("who acknowledges slowly is up, while those who only hold or put back are stalled", async ({
    expect,
    onTestFinished,
  }) => {
    const { channel, startWorker, surroundings } = await freshBroker(onTestFinished);
    for (const name of ["slow", "held", "put-back"]) await declare(channel, name, 50);
    await declare(channel, "quorum-held", 50, QUORUM);
    await Promise.all([
      startWorker({ queue: "slow", does: "ack", afterMs: 3_000 }),
      startWorker({ queue: "held", does: "hold" }),
      startWorker({ queue: "quorum-held", does: "hold", prefetch: 50 }),
      startWorker({ queue: "put-back", does: "requeue", afterMs: 50 }),
    ]);
    const all = surroundings();
    const lookAt = (name: string) => queueLook(all, { queue: name, stalledAfter: 12 });
    const slow = lookAt("slow");
    const others = ["held", "quorum-held", "put-back"].map(lookAt);
    const wordsOfSlow = new Set<string>();
    await vi.waitFor(async () => {
      wordsOfSlow.add(await inWords(slow));
      expect(await Promise.all(others.map(inWords))).toEqual(Array(3).fill("down queue_stalled"));
    }, STALL);
    expect([...wordsOfSlow].filter((word) => word !== "unknown management_failed")).toEqual(["up"]);
  }, 90_000);

  test("who refuses all that it takes acknowledges nothing, for as long as messages wait", async ({
    expect,
    onTestFinished,
  }) => {
    const { channel, startWorker, surroundings } = await freshBroker(onTestFinished);
    await declare(channel, "refused", 80);
    const look = queueLook(surroundings(), { queue: "refused", stalledAfter: SHORTEST_S });
    await startWorker({ queue: "refused", does: "reject", afterMs: 400 });
    await expect.poll(() => inWords(look), STALL).toBe("down queue_stalled");
    await expect.poll(() => inWords(look), STALL).toBe("up");
  }, 120_000);

  test("a queue is down above its limits, without consumers as well, and up again below them", async ({
    expect,
    onTestFinished,
  }) => {
    const { channel, startWorker, surroundings } = await freshBroker(onTestFinished);
    await declare(channel, "classic", 10);
    await declare(channel, "quorum", 10, QUORUM);
    const all = surroundings();
    const checked = ["classic", "quorum"].map(async (name) => {
      const deep = queueLook(all, { queue: name, maxDepth: 9 });
      const held = queueLook(all, { queue: name, maxDepth: 10, maxUnacknowledged: 2 });
      await expect.poll(() => inWords(deep), LAG).toBe("down queue_too_deep");
      expect(await inWords(held)).toBe("up");
      const holder = await startWorker({ queue: name, does: "hold", prefetch: 3 });
      await expect.poll(() => inWords(held), LAG).toBe("down queue_too_many_unacknowledged");
      holder.kill("SIGKILL");
      await expect.poll(() => inWords(held), LAG).toBe("up");
      await channel.purgeQueue(name);
      await expect.poll(() => inWords(deep), LAG).toBe("up");
    });
    await Promise.all(checked);
  }, 90_000);

  test("nothing is known of a queue until it is counted, nor of one that is not there", async ({
    expect,
    onTestFinished,
  }) => {
    const { channel, surroundings } = await freshBroker(onTestFinished);
    const all = surroundings();
    const looks = [queueLook(all, { queue: "new" }), deadLetterLook(all, { queue: "new" })];
    const words = () => Promise.all(looks.map(inWords));
    expect(await words()).toEqual(Array(2).fill("down queue_missing"));
    await channel.assertQueue("new", QUORUM);
    expect(await words()).toEqual(Array(2).fill("unknown management_failed"));
    await expect.poll(words, LAG).toEqual(["up", "up"]);
    await channel.deleteQueue("new");
    await expect.poll(words, LAG).toEqual(Array(2).fill("down queue_missing"));
  });

  test("a stream has no depth and never drains", async ({ expect, onTestFinished }) => {
    const { channel, surroundings } = await freshBroker(onTestFinished);
    await declare(channel, "stream", 5, STREAM);
    const all = surroundings();
    const plain = queueLook(all, { queue: "stream" });
    await expect.poll(() => inWords(plain), LAG).toBe("up");
    expect((await plain(soon())).values).toMatchObject({ consumers: 0 });
    const limited = await queueLook(all, { queue: "stream", maxDepth: 100, stalledAfter: 60 })(soon());
    expect(limited).toMatchObject({ state: "unknown", reason: "queue_is_stream" });
    expect(limited.detail).toContain("remove maxDepth, stalledAfter");
    expect(await inWords(deadLetterLook(all, { queue: "stream" }))).toBe("unknown queue_is_stream");
  });

  test("a dead-letter queue is down with what was rejected in it, until it is purged", async ({
    expect,
    onTestFinished,
  }) => {
    const { channel, startWorker, surroundings } = await freshBroker(onTestFinished);
    await channel.assertExchange("dead", "fanout");
    for (const [name, options] of [["dead-classic", {}] as const, ["dead-quorum", QUORUM] as const]) {
      await channel.assertQueue(name, options);
      await channel.bindQueue(name, "dead", "");
    }
    await declare(channel, "work", 3, { deadLetterExchange: "dead" });
    await startWorker({ queue: "work", does: "reject" });
    const all = surroundings();
    const checked = ["dead-classic", "dead-quorum"].map(async (name) => {
      const look = deadLetterLook(all, { queue: name });
      await vi.waitFor(async () => {
        const values = { dead_letters: 3 };
        expect(await look(soon())).toMatchObject({ state: "down", reason: "dead_letters", values });
      }, LAG);
      expect(await inWords(deadLetterLook(all, { queue: name, max: 3 }))).toBe("up");
      await channel.purgeQueue(name);
      await expect.poll(() => inWords(look), LAG).toBe("up");
    });
    await Promise.all(checked);
  }, 60_000);

  test("a user with the tag management sees whether others' consumers are stalled, one without a tag nothing", async ({
    expect,
    onTestFinished,
  }) => {
    const { channel, startWorker, surroundings, userWith } = await freshBroker(onTestFinished);
    await declare(channel, "held", 3);
    await startWorker({ queue: "held", does: "hold" });
    const options = { queue: "held", stalledAfter: SHORTEST_S };
    const tagged = queueLook(surroundings(await userWith("management")), options);
    await expect.poll(() => inWords(tagged), STALL).toBe("down queue_stalled");
    const untagged = surroundings(await userWith(""));
    expect(await inWords(queueLook(untagged, options))).toBe("unknown management_refused");
    expect(await inWords(deadLetterLook(untagged, { queue: "held" }))).toBe("unknown management_refused");
  }, 90_000);
});
