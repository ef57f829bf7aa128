import { connect } from "amqplib";
import { expect, inject, onTestFinished, test } from "vitest";
import { openLookingChannel } from "../../shared/src/broker-connection.ts";
import { passiveRefusingProxy } from "../../shared/test/passive-refusing-proxy.ts";
import { passiveCounts } from "../src/probes/passive.ts";
import {
  connectTo,
  LAG,
  freshPipeline,
  probeIn,
  soon,
  statesOf,
  targets,
  workingPipeline,
  WORKING_QUEUES,
} from "./fresh-pipeline.ts";
import { inWords } from "./in-words.ts";
import { listener, queueTarget } from "./queues.ts";

test("consumers are counted: enough, too few, none; queues that are gone and back are seen", async () => {
  const { vhost, channel } = await workingPipeline();
  const [{ listeners } = { listeners: [] }] = targets("inbox");
  const queues = [queueTarget("inbox", [...listeners, listener("second", "")])];
  const probe = await probeIn({ vhost, queues, source: "passive" });
  expect(await statesOf(probe)).toEqual(["down", "unknown", "unknown"]);
  await channel.consume("inbox", () => {}, { consumerTag: "anything" });
  expect(inWords(await probe.look(soon()))).toEqual(Array(3).fill("up tag_unchecked"));
  await channel.deleteQueue("inbox");
  expect(inWords(await probe.look(soon()))).toEqual(Array(3).fill("down queue_missing"));
  await channel.assertQueue("inbox");
  expect(inWords(await probe.look(soon()))).toEqual(Array(3).fill("down consumer_missing"));
});

test.each(["classic", "quorum"])("the consumers of a %s queue are counted", async (type) => {
  const { vhost, channel } = await freshPipeline();
  await channel.assertQueue("inbox", { arguments: { "x-queue-type": type } });
  const probe = await probeIn({ vhost, queues: targets("inbox"), source: "passive" });
  expect(await statesOf(probe)).toEqual(["down", "down"]);
  await channel.consume("inbox", () => {}, { consumerTag: "ctag-inbox-1" });
  await expect.poll(() => statesOf(probe), LAG).toEqual(["up", "up"]);
});

test("no channel stays open, whatever is refused", async () => {
  const { vhost, channel } = await workingPipeline();
  await channel.assertQueue("locked", { exclusive: true });
  const connection = await connectTo(vhost, undefined, { channelMax: 9 });
  const count = passiveCounts(() => openLookingChannel(connection));
  for (let look = 0; look < 20; look += 1) {
    const counted = await count([...WORKING_QUEUES, "gone", "locked", "gone too"], soon());
    expect([...counted.values()]).toEqual([1, 1, 1, "missing", "locked", "missing"]);
  }
});

test("a connection that is lost in the middle ends the look", async () => {
  const { vhost } = await workingPipeline();
  const connection = await connectTo(vhost);
  const count = passiveCounts(() => openLookingChannel(connection));
  const names = Array.from({ length: 2_000 }, () => "inbox");
  const cutOff = count(names, soon());
  await connection.close();
  expect(["number", "object"]).toContain(typeof (await cutOff).get("inbox"));
  const startedMs = performance.now();
  expect((await count(["inbox"], soon())).get("inbox")).toMatchObject({ reason: "broker_not_connected" });
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

test("where the broker refuses the look, as some versions do, nothing is known", async () => {
  const { vhost } = await workingPipeline();
  const { host, amqpPort, user, password } = inject("rabbitmq");
  const port = await passiveRefusingProxy({ host, port: amqpPort });
  const connection = await connect({
    hostname: "127.0.0.1",
    port,
    username: user,
    password,
    vhost: encodeURIComponent(vhost),
  });
  onTestFinished(() => connection.close());
  const count = passiveCounts(() => openLookingChannel(connection));
  for (let look = 0; look < 3; look += 1) {
    const counted = await count([...WORKING_QUEUES, "gone"], soon());
    expect([...counted.values()]).toMatchObject([1, 2, 3, 4].map(() => ({ reason: "queue_refused" })));
  }
});
