import { describe, expect, test, vi } from "vitest";
import type { BrokerSettings } from "../src/broker-config.ts";
import type { Broker } from "../src/broker.ts";
import type { Topology } from "../src/topology.ts";
import { passiveRefusingProxy } from "./passive-refusing-proxy.ts";
import { freshBroker, limitedUser, startConsuming, startSession, untilConnected } from "./fresh-broker.ts";

const properties = { messageId: "boot/1", timestampMs: 1_795_000_000_123, expirationMs: 600_000 };
const subscriber: Topology = {
  exchange: "the-exchange",
  queue: "the-queue",
  routingKey: "the.key",
  declare: "all",
  end: "subscriber",
};
const publisher: Topology = { ...subscriber, end: "publisher" };

/** A vhost in which somebody else has made exchange, queue and binding. */
async function brokerWithObjects({ type = "topic", exchangeOptions = {}, queueArguments = {} } = {}) {
  const { settings, channel } = await freshBroker();
  await channel.assertExchange(subscriber.exchange, type, exchangeOptions);
  await channel.assertQueue(subscriber.queue, { durable: true, arguments: queueArguments });
  await channel.bindQueue(subscriber.queue, subscriber.exchange, subscriber.routingKey);
  return { settings, channel };
}

const consume = (settings: BrokerSettings, used = subscriber) => startConsuming(settings, undefined, used);

/** Sends a message after each connect, as the publisher does. */
function publishAlways(settings: BrokerSettings, used = publisher) {
  let sent = 0;
  let attempts = 0;
  const trySend = async () => {
    attempts += 1;
    await session.broker.publish(Buffer.from(`message ${sent}`), properties).then(
      () => (sent += 1),
      () => {}, // told by the session
    );
  };
  const open = async () => void setImmediate(() => void trySend());
  const session: { broker: Broker; lines: string[] } = startSession(settings, { topology: used, open });
  return { ...session, sent: () => sent, attempts: () => attempts };
}

async function oneWarning(lines: readonly string[], told: string | RegExp): Promise<void> {
  await vi.waitFor(() => expect(lines.join("\n")).toMatch(told), { timeout: 10_000 });
  expect(outages(lines).length).toBeLessThanOrEqual(1);
  // Some versions of RabbitMQ let a user without the configure permission check nothing, which is told as well.
  expect(lines.filter((line) => line.includes("not fully checked")).length).toBeLessThanOrEqual(1);
}

const outages = (lines: readonly string[]) => lines.filter((line) => line.includes("broker unavailable"));

describe("a user with the least permissions", () => {
  test("consumes and publishes where the objects exist, with no word in the log but about the binding", async () => {
    const { settings } = await brokerWithObjects();
    const reader = await limitedUser(settings, { read: "^the-queue$" });
    const writer = await limitedUser(settings, { write: "^the-exchange$" });
    const outside = consume(reader.settings);
    const inside = publishAlways(writer.settings);
    await vi.waitFor(() => expect(outside.bodies).toEqual(["message 0"]), { timeout: 10_000 });
    for (const { lines } of [outside, inside]) {
      await oneWarning(lines, "no permission to bind queue 'the-queue' to exchange 'the-exchange'");
    }
  });

  test("meets no outage where nothing is to be declared", async () => {
    const { settings } = await brokerWithObjects();
    const reader = await limitedUser(settings, { read: "^the-queue$" });
    const writer = await limitedUser(settings, { write: "^the-exchange$" });
    const outside = consume(reader.settings, { ...subscriber, declare: "none" });
    const inside = publishAlways(writer.settings, { ...publisher, declare: "none" });
    await vi.waitFor(() => expect(outside.bodies).toEqual(["message 0"]), { timeout: 10_000 });
    expect(outages([...outside.lines, ...inside.lines])).toEqual([]);
  });
});

describe("where a passive declare is refused, too", () => {
  /** As RabbitMQ 4.2.6 and 4.3.0 behave to a user without the configure permission. */
  async function refusing(settings: BrokerSettings): Promise<BrokerSettings> {
    const { host, amqpPort } = settings;
    return { ...settings, amqpPort: await passiveRefusingProxy({ host, port: amqpPort }) };
  }

  test.each(["all", "queue", "none"] as const)(
    "with %s, what exists is used, after one word",
    async (declare) => {
      const { settings } = await brokerWithObjects();
      const reader = await limitedUser(settings, { read: "^the-queue$" });
      const writer = await limitedUser(settings, { write: "^the-exchange$" });
      const outside = consume(await refusing(reader.settings), { ...subscriber, declare });
      const inside = publishAlways(await refusing(writer.settings), { ...publisher, declare });
      await vi.waitFor(() => expect(outside.bodies).toEqual(["message 0"]), { timeout: 10_000 });
      await oneWarning(outside.lines, "no permission to check queue 'the-queue'");
      await oneWarning(inside.lines, "no permission to check exchange 'the-exchange'");
    },
  );

  test("what does not exist is told by its name at the first use, and used once it is there", async () => {
    const { settings, channel } = await freshBroker();
    const reader = await limitedUser(settings, { read: "^the-queue$" });
    const writer = await limitedUser(settings, { write: "^the-exchange$" });
    const outside = consume(await refusing(reader.settings), { ...subscriber, declare: "none" });
    const inside = publishAlways(await refusing(writer.settings), { ...publisher, declare: "none" });
    await oneWarning(outside.lines, "no queue 'the-queue'");
    await oneWarning(inside.lines, "no exchange 'the-exchange'");
    await channel.assertExchange(subscriber.exchange, "topic");
    await channel.assertQueue(subscriber.queue);
    await channel.bindQueue(subscriber.queue, subscriber.exchange, subscriber.routingKey);
    await vi.waitFor(() => expect(outside.bodies).toEqual(["message 0"]), { timeout: 10_000 });
    expect(outages([...outside.lines, ...inside.lines])).toHaveLength(2);
  });
});

describe("what exists is taken as it is", () => {
  test.each([
    { what: "a quorum queue", queueArguments: { "x-queue-type": "quorum" } },
    { what: "a queue with a time to live", queueArguments: { "x-message-ttl": 600_000 } },
    {
      what: "a queue with a limit and a dead-letter exchange",
      queueArguments: { "x-max-length": 9, "x-dead-letter-exchange": "x" },
    },
    { what: "a fanout exchange", type: "fanout" },
    { what: "a headers exchange", type: "headers" },
    { what: "a direct exchange that is not durable", type: "direct", exchangeOptions: { durable: false } },
    { what: "an auto-delete topic exchange", exchangeOptions: { autoDelete: true } },
  ])("$what carries a message without a word", async (objects) => {
    const { settings } = await brokerWithObjects(objects);
    const outside = consume(settings);
    const inside = publishAlways(settings);
    await vi.waitFor(() => expect(outside.bodies).toEqual(["message 0"]), { timeout: 10_000 });
    expect([...outside.lines, ...inside.lines]).toEqual([]);
  });

  test("an internal exchange is consumed from by its queue, and told to who publishes to it", async () => {
    const { settings, channel } = await brokerWithObjects({ exchangeOptions: { internal: true } });
    await channel.assertExchange("outer", "topic");
    await channel.bindExchange(subscriber.exchange, "outer", "#");
    const outside = consume(settings);
    await untilConnected(outside.broker);
    channel.publish("outer", subscriber.routingKey, Buffer.from("by another"));
    await vi.waitFor(() => expect(outside.bodies).toEqual(["by another"]), { timeout: 10_000 });
    const inside = publishAlways(settings);
    await oneWarning(inside.lines, "the-exchange");
    expect(inside.lines[0]).toContain("internal");
  });
});

describe("a missing object", () => {
  test.each([
    { declare: "queue", end: subscriber, told: "exchange 'the-exchange' does not exist" },
    { declare: "queue", end: publisher, told: "exchange 'the-exchange' does not exist" },
    { declare: "none", end: subscriber, told: "queue 'the-queue' does not exist" },
    { declare: "none", end: publisher, told: "exchange 'the-exchange' does not exist" },
  ] as const)("is one warning to the $end.end with $declare, until somebody makes it", async (row) => {
    const { settings, channel } = await freshBroker();
    const used: Topology = { ...row.end, declare: row.declare };
    const session = row.end === subscriber ? consume(settings, used) : publishAlways(settings, used);
    await oneWarning(session.lines, row.told);
    expect(session.lines[0]).toContain("RABBITMQ_DECLARE");
    await channel.assertExchange(subscriber.exchange, "topic");
    if (row.declare === "none") {
      await channel.assertQueue(subscriber.queue);
      await channel.bindQueue(subscriber.queue, subscriber.exchange, subscriber.routingKey);
    }
    await untilConnected(session.broker);
    await session.broker.publish(Buffer.from("at last"), properties);
    expect(session.lines).toHaveLength(1);
  });

  test("that the user may not create is one warning, until somebody else makes it", async () => {
    const { settings, channel } = await freshBroker();
    const reader = await limitedUser(settings, { read: "^the-queue$" });
    const { broker, lines } = consume(reader.settings);
    await oneWarning(
      lines,
      // RabbitMQ 4.3 hides an exchange from whoever has no permission for it, then the queue is the first to be missed.
      /(exchange 'the-exchange'|queue 'the-queue') does not exist and the user has no permission to create it|no queue 'the-queue'/,
    );
    await channel.assertExchange(subscriber.exchange, "topic");
    await channel.assertQueue(subscriber.queue);
    await untilConnected(broker);
    expect(outages(lines)).toHaveLength(1);
  });
});

describe("a missing permission", () => {
  test("to read is one warning that names the queue, until it is granted", async () => {
    const { settings } = await brokerWithObjects();
    const { settings: limited, grant } = await limitedUser(settings, { write: "^the-" });
    const { broker, lines, bodies } = consume(limited, { ...subscriber, declare: "none" });
    await oneWarning(lines, "queue 'the-queue'");
    expect(outages(lines).join()).toContain(limited.user);
    await grant({ read: "^the-queue$", write: "^the-" });
    await untilConnected(broker);
    await broker.publish(Buffer.from("readable"), properties);
    await vi.waitFor(() => expect(bodies).toEqual(["readable"]));
    expect(outages(lines)).toHaveLength(1);
  });

  test("to write is one warning that names the exchange, until it is granted", async () => {
    const { settings } = await brokerWithObjects();
    const { settings: limited, grant } = await limitedUser(settings, { read: "^the-" });
    const { lines, sent, attempts } = publishAlways(limited, { ...publisher, declare: "none" });
    await oneWarning(lines, "exchange 'the-exchange'");
    expect(outages(lines).join()).toContain(limited.user);
    await vi.waitFor(() => expect(attempts()).toBeGreaterThan(3), { timeout: 10_000 });
    expect(outages(lines)).toHaveLength(1);
    await grant({ write: "^the-exchange$" });
    await vi.waitFor(() => expect(sent()).toBe(1), { timeout: 10_000 });
    expect(outages(lines)).toHaveLength(1);
  });
});
