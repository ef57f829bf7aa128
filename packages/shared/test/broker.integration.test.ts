import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { endAlarm, raiseAlarm } from "../../../test/broker-alarm.ts";
import { freshProxy } from "../../../test/fresh-proxy.ts";
import { CHANNEL_CLOSE, CONNECTION_CLOSE } from "./amqp-frames.ts";
import { cuttingProxy } from "./method-proxies.ts";
import {
  closeConnections,
  freshBroker,
  startConsuming,
  startSession,
  topology,
  untilConnected,
} from "./fresh-broker.ts";

const SLOW_MS = 300;
const properties = { messageId: "boot/1", timestampMs: 1_795_000_000_123, expirationMs: 600_000 };

describe("publishing", () => {
  test("is persistent, confirmed and carries its properties", async () => {
    const { settings, channel } = await freshBroker();
    const { broker } = startSession(settings);
    await untilConnected(broker);
    await broker.publish(Buffer.from("hello"), properties);
    const message = await channel.get(topology.queue, { noAck: true });
    expect(message && message.content.toString()).toBe("hello");
    expect(message && message.properties).toMatchObject({
      deliveryMode: 2,
      contentType: "application/json",
      messageId: "boot/1",
      timestamp: 1_795_000_000,
      expiration: "600000",
    });
  });

  test("tells when the message reaches no queue", async () => {
    const { settings, channel } = await freshBroker();
    const { broker } = startSession(settings);
    await untilConnected(broker);
    await channel.unbindQueue(topology.queue, topology.exchange, topology.routingKey);
    await expect(broker.publish(Buffer.from("lost"), properties)).rejects.toThrow("no queue is bound");
  });

  test("tells when the broker refuses the message", async () => {
    const { settings, channel } = await freshBroker();
    const limit = { "x-max-length": 0, "x-overflow": "reject-publish" };
    await channel.assertQueue(topology.queue, { durable: true, arguments: limit });
    const { broker } = startSession(settings);
    await untilConnected(broker);
    await expect(broker.publish(Buffer.from("refused"), properties)).rejects.toThrow(
      "does not take the message",
    );
  });

  test("of many messages at once tells which reach no queue, and nothing else", async () => {
    const { settings, channel } = await freshBroker();
    const { broker } = startSession(settings);
    await untilConnected(broker);
    const warnings: string[] = [];
    const onWarning = ({ message }: Error) => warnings.push(message);
    process.on("warning", onWarning);
    onTestFinished(() => void process.off("warning", onWarning));
    const many = Array.from({ length: 20 }, (_, index) => ({ ...properties, messageId: `boot/${index}` }));
    const publishAll = () =>
      Promise.allSettled(many.map((own) => broker.publish(Buffer.from(own.messageId), own)));
    const statuses = async () => (await publishAll()).map(({ status }) => status);
    expect(await statuses()).toEqual(many.map(() => "fulfilled"));
    await channel.unbindQueue(topology.queue, topology.exchange, topology.routingKey);
    expect(await statuses()).toEqual(many.map(() => "rejected"));
    expect(warnings).toEqual([]);
  });

  test("rejects while there is no connection", async () => {
    const { broker } = startSession({ ...(await freshBroker()).settings, amqpPort: 1 });
    await expect(broker.publish(Buffer.from("x"), properties)).rejects.toThrow("not connected");
  });
});

describe("an alarm of the broker", () => {
  test("ends what is in flight at once, and all that follows, until it is over", async () => {
    const { settings } = await freshBroker();
    const proxy = await freshProxy({ host: settings.host, port: settings.amqpPort });
    let unblocked = 0;
    const { broker, lines } = startSession(
      { ...settings, host: "127.0.0.1", amqpPort: proxy.port },
      { onUnblocked: () => (unblocked += 1) },
    );
    await untilConnected(broker);
    const startedMs = performance.now();
    const inFlight = broker.publish(Buffer.from("in flight"), properties);
    await raiseAlarm(proxy, "low on memory");
    await expect(inFlight).rejects.toThrow("before the confirm");
    expect(broker.blockedBecause).toBe("low on memory");
    expect(broker.connectedAtMs).toBeDefined();
    await expect(broker.publish(Buffer.from("x"), properties)).rejects.toThrow("takes no messages");
    await expect(broker.openChannel()).rejects.toThrow("takes no messages");
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(lines.join()).toContain("it takes no messages: low on memory");
    await endAlarm(proxy);
    await vi.waitFor(() => expect(broker.blockedBecause).toBeUndefined());
    expect(unblocked).toBe(1);
    await broker.publish(Buffer.from("again"), properties);
    expect(lines).toHaveLength(1);
  });

  test("ends with its connection", async () => {
    const { settings } = await freshBroker();
    const proxy = await freshProxy({ host: settings.host, port: settings.amqpPort });
    const { broker } = startSession({ ...settings, host: "127.0.0.1", amqpPort: proxy.port });
    await untilConnected(broker);
    await raiseAlarm(proxy, "low on disk");
    await vi.waitFor(() => expect(broker.blockedBecause).toBe("low on disk"));
    await proxy.set("cut");
    await vi.waitFor(() => expect(broker.connectedAtMs).toBeUndefined());
    expect(broker.blockedBecause).toBeUndefined();
    await proxy.set("pass");
    await untilConnected(broker);
    await broker.publish(Buffer.from("again"), properties);
  });
});

describe("a channel of the caller's own", () => {
  test("closes alone when something is refused on it", async () => {
    const { settings } = await freshBroker();
    const { broker, lines } = startSession(settings);
    await untilConnected(broker);
    const before = broker.connectedAtMs;
    const refused = await broker.openChannel();
    await expect(refused.checkQueue("gone")).rejects.toMatchObject({ code: 404 });
    const other = await broker.openChannel();
    expect(await other.checkQueue(topology.queue)).toMatchObject({ consumerCount: 0 });
    await broker.publish(Buffer.from("hello"), properties);
    expect(broker.connectedAtMs).toBe(before);
    expect(lines).toEqual([]);
  });

  test("is not to be had while there is no connection", async () => {
    const { broker } = startSession({ ...(await freshBroker()).settings, amqpPort: 1 });
    await expect(broker.openChannel()).rejects.toThrow("not connected");
  });
});

describe("the way back", () => {
  test("after a lost connection leads to the same consumer", async () => {
    const { settings, channel } = await freshBroker();
    const { broker, bodies, lines } = startConsuming(settings);
    await untilConnected(broker);
    const before = broker.connectedAtMs;
    await closeConnections(settings.vhost, `test ${settings.vhost}`);
    await vi.waitFor(() => expect(broker.connectedAtMs).not.toBe(before), { timeout: 10_000 });
    await untilConnected(broker);
    channel.publish(topology.exchange, topology.routingKey, Buffer.from("again"));
    await vi.waitFor(() => expect(bodies).toEqual(["again"]), { timeout: 10_000 });
    expect(lines.filter((line) => line.includes("broker unavailable"))).toHaveLength(1);
  });

  test.each([
    { what: "a channel is being closed", method: CHANNEL_CLOSE, isOpenable: true },
    { what: "the connection itself is being closed", method: CONNECTION_CLOSE, isOpenable: false },
  ])("after a connection that is lost while $what leads to a session", async ({ method, isOpenable }) => {
    const { settings } = await freshBroker();
    const { port, hasCut } = await cuttingProxy({ host: settings.host, port: settings.amqpPort }, method);
    const { broker } = startSession(
      { ...settings, host: "127.0.0.1", amqpPort: port },
      {
        open: async () => {
          if (!isOpenable && !hasCut()) throw new Error("not yet");
        },
      },
    );
    await vi.waitFor(() => expect(hasCut()).toBe(true), { timeout: 10_000 });
    await untilConnected(broker);
    await broker.publish(Buffer.from("hello"), properties);
  });

  test("after a deleted queue makes it anew", async () => {
    const { settings, channel } = await freshBroker();
    const { broker, bodies } = startConsuming(settings);
    await untilConnected(broker);
    const before = broker.connectedAtMs;
    await channel.deleteQueue(topology.queue);
    await vi.waitFor(() => expect(broker.connectedAtMs).not.toBe(before), { timeout: 10_000 });
    await untilConnected(broker);
    channel.publish(topology.exchange, topology.routingKey, Buffer.from("again"));
    await vi.waitFor(() => expect(bodies).toEqual(["again"]), { timeout: 10_000 });
  });

  test("is tried for ever, and a wrong password is told once, without the password", async () => {
    const { settings } = await freshBroker();
    const { lines } = startSession({ ...settings, password: "hunter2" });
    await vi.waitFor(() => expect(lines.join()).toContain("refuses the login of user"), { timeout: 10_000 });
    expect(lines).toHaveLength(1);
    expect(lines.join()).not.toContain("hunter2");
  });

  test.each([
    { what: "a port where nobody listens", change: { amqpPort: 1 }, told: "connection refused" },
    {
      what: "a name that does not exist",
      change: { host: "does-not-exist.invalid" },
      told: "cannot be resolved",
    },
    { what: "a vhost that does not exist", change: { vhost: "nowhere" }, told: "refuses vhost 'nowhere'" },
  ])("$what is told as what it is", async ({ change, told }) => {
    const { settings } = await freshBroker();
    const { lines } = startSession({ ...settings, ...change });
    await vi.waitFor(() => expect(lines.join()).toContain(told), { timeout: 10_000 });
  });
});

test("a close while a session is being opened leaves none behind: nothing is said after the last word", async () => {
  const { settings } = await freshBroker();
  const target = { host: settings.host, port: settings.amqpPort };
  const { port, sent, set } = await freshProxy(target, { isRecording: true });
  await set({ slowMs: 30 });
  const open = vi.fn(async () => {});
  const { broker } = startSession({ ...settings, host: "127.0.0.1", amqpPort: port }, { open });
  const exchangeDeclare = Buffer.of(0, 40, 0, 10);
  await vi.waitFor(() => expect(sent()[0]?.includes(exchangeDeclare)).toBe(true), {
    timeout: 10_000,
    interval: 1,
  });
  await broker.close();
  expect(open).not.toHaveBeenCalled();
  expect(broker.connectedAtMs).toBeUndefined();
});

describe("consuming", () => {
  test("acknowledges what was dealt with, and a close waits for the batch in hand", async () => {
    const { settings, channel } = await freshBroker();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let batches = 0;
    const { broker, bodies } = startConsuming(settings, () => {
      batches += 1;
      return released;
    });
    await untilConnected(broker);
    channel.publish(topology.exchange, topology.routingKey, Buffer.from("in hand"));
    await vi.waitFor(() => expect(batches).toBe(1), { timeout: 10_000 });
    const closed = broker.close();
    // The consumer is cancelled first, and then waits for the batch.
    await vi.waitFor(async () => {
      expect((await channel.checkQueue(topology.queue)).consumerCount).toBe(0);
    });
    release();
    await closed;
    expect(bodies).toEqual(["in hand"]);
    expect((await channel.checkQueue(topology.queue)).messageCount).toBe(0);
  });

  test("of a queue that is deleted meanwhile is an outage, also when the batch is done before the connection ends", async () => {
    const { settings, channel } = await freshBroker();
    const proxy = await freshProxy({ host: settings.host, port: settings.amqpPort });
    let batches = 0;
    const { broker, lines } = startConsuming(
      { ...settings, host: "127.0.0.1", amqpPort: proxy.port },
      async () => {
        batches += 1;
        if (batches > 1) return;
        await channel.deleteQueue(topology.queue);
        // The word of it arrives, and ours at the broker, but not its answer.
        await sleep(2 * SLOW_MS);
      },
    );
    await untilConnected(broker);
    await vi.waitFor(async () => {
      expect((await channel.checkQueue(topology.queue)).consumerCount).toBe(1);
    });
    await proxy.set({ slowMs: SLOW_MS });
    channel.publish(topology.exchange, topology.routingKey, Buffer.from("in work"));
    await vi.waitFor(() => expect(lines.join()).toContain("or queue 'heartbeat' deleted"), 10_000);
  });

  test("leaves in the queue what could not be dealt with", async () => {
    const { settings, channel } = await freshBroker();
    let failures = 0;
    const { broker, bodies } = startConsuming(settings, async () => {
      failures += 1;
      if (failures <= 2) throw new Error("cannot");
    });
    await untilConnected(broker);
    channel.publish(topology.exchange, topology.routingKey, Buffer.from("precious"));
    await vi.waitFor(() => expect(bodies).toEqual(["precious"]), { timeout: 15_000 });
    expect(failures).toBe(3);
  });

  test("keeps the order of the queue", async () => {
    const { settings, channel } = await freshBroker();
    const { broker, bodies } = startConsuming(settings);
    await untilConnected(broker);
    const sent = Array.from({ length: 1_000 }, (_, index) => String(index));
    for (const body of sent) channel.publish(topology.exchange, topology.routingKey, Buffer.from(body));
    await vi.waitFor(() => expect(bodies).toHaveLength(1_000), { timeout: 10_000 });
    expect(bodies).toEqual(sent);
  });

  test("knows which messages may have waited in the queue, and when those have been dealt with", async () => {
    const { settings, channel } = await freshBroker();
    const first = startSession(settings);
    await untilConnected(first.broker);
    await first.broker.close();
    const backlog = Array.from({ length: 450 }, (_, index) => `old ${index}`);
    for (const body of backlog) channel.sendToQueue(topology.queue, Buffer.from(body));
    await vi.waitFor(async () => expect((await channel.checkQueue(topology.queue)).messageCount).toBe(450));

    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { bodies, waited, isCatchingUp } = startConsuming(settings, () => released);
    await vi.waitFor(() => expect(isCatchingUp()).toBe(true), { timeout: 10_000 });
    release();
    await vi.waitFor(() => expect(bodies).toHaveLength(450), { timeout: 10_000 });
    await vi.waitFor(() => expect(isCatchingUp()).toBe(false), { timeout: 10_000 });
    channel.sendToQueue(topology.queue, Buffer.from("new"));
    await vi.waitFor(() => expect(bodies).toHaveLength(451), { timeout: 10_000 });
    expect(waited).toEqual(backlog);
  });
});
