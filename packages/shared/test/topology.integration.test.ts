import { describe, expect, test } from "vitest";
import { ensureTopology, type Topology } from "../src/topology.ts";
import { dial, freshBroker, limitedUser, topology } from "./fresh-broker.ts";

describe("the topology", () => {
  test("is made where nothing is there, twice without harm, and carries a message", async () => {
    const { settings, channel } = await freshBroker();
    const connection = await dial(settings);
    expect(await ensureTopology(connection, topology)).toEqual([]);
    expect(await ensureTopology(connection, topology)).toEqual([]);
    channel.publish(topology.exchange, topology.routingKey, Buffer.from("hello"));
    await expect.poll(async () => (await channel.checkQueue(topology.queue)).messageCount).toBe(1);
  });

  test("is what upstream declares: a durable queue without arguments", async () => {
    const { settings, channel } = await freshBroker();
    await ensureTopology(await dial(settings), topology);
    await expect(channel.assertQueue(topology.queue, { durable: true })).resolves.toBeDefined();
    await expect(
      channel.assertExchange(topology.exchange, "topic", { durable: true }),
    ).resolves.toBeDefined();
  });

  test("takes an exchange and a queue as they are", async () => {
    const { settings, channel } = await freshBroker();
    await channel.assertExchange(topology.exchange, "direct", { durable: false });
    await channel.assertQueue(topology.queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
    expect(await ensureTopology(await dial(settings), topology)).toEqual([]);
  });

  test.each([
    { declare: "queue" as const, end: "subscriber" as const },
    { declare: "queue" as const, end: "publisher" as const },
    { declare: "none" as const, end: "publisher" as const },
  ])("names the missing exchange where '$declare' may be declared, to the $end", async (parts) => {
    const { settings } = await freshBroker();
    const message = "exchange 'heartbeat' does not exist";
    await expect(ensureTopology(await dial(settings), { ...topology, ...parts })).rejects.toThrow(message);
  });

  test("makes queue and binding at an existing exchange where 'queue' may be declared", async () => {
    const { settings, channel } = await freshBroker();
    await channel.assertExchange(topology.exchange, "topic");
    await ensureTopology(await dial(settings), { ...topology, declare: "queue" });
    channel.publish(topology.exchange, topology.routingKey, Buffer.from("hello"));
    await expect.poll(async () => (await channel.checkQueue(topology.queue)).messageCount).toBe(1);
  });

  test("with nothing to be declared, each end needs its own object only: the other may be on another broker", async () => {
    const { settings, channel } = await freshBroker();
    const connection = await dial(settings);
    const subscriber: Topology = { ...topology, declare: "none", end: "subscriber" };
    const publisher: Topology = { ...subscriber, end: "publisher" };
    await expect(ensureTopology(connection, subscriber)).rejects.toThrow("queue 'heartbeat' does not exist");
    await channel.assertQueue(topology.queue);
    expect(await ensureTopology(connection, subscriber)).toEqual([]);
    await expect(ensureTopology(connection, publisher)).rejects.toThrow(
      "exchange 'heartbeat' does not exist",
    );
    await channel.assertExchange(topology.exchange, "topic");
    await channel.deleteQueue(topology.queue);
    expect(await ensureTopology(connection, publisher)).toEqual([]);
  });

  test("works for a user without the configure permission when the objects exist", async () => {
    const { settings } = await freshBroker();
    await ensureTopology(await dial(settings), topology);
    const { settings: poor } = await limitedUser(settings, { configure: "^$", write: ".*", read: ".*" });
    // RabbitMQ 4.2.6 and 4.3.0 do not even let him look.
    for (const note of await ensureTopology(await dial(poor), topology)) {
      expect(note).toContain("taken as there");
    }
  });

  test("a user who may not bind is taken at the word of the one who did", async () => {
    const { settings } = await freshBroker();
    await ensureTopology(await dial(settings), topology);
    const { settings: poor } = await limitedUser(settings, { configure: "^$", write: "^$", read: ".*" });
    const notes = await ensureTopology(await dial(poor), topology);
    expect(notes.join()).toContain("no permission to bind queue 'heartbeat'");
  });

  test("tells what a user without permission cannot create", async () => {
    const { settings } = await freshBroker();
    const { settings: poor } = await limitedUser(settings, { configure: "^$", write: ".*", read: ".*" });
    const message = /exchange 'heartbeat' (does not exist and the user has no permission to create it|\(404)/;
    await expect(ensureTopology(await dial(poor), topology)).rejects.toThrow(message);
  });
});
