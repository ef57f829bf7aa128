import { expect, test } from "vitest";
import { consumers } from "../src/probes/attached.ts";
import { lookingAt } from "./broker-look.ts";
import { freshPipeline, LAG, userIn, workingPipeline } from "./fresh-pipeline.ts";
import { inBrief } from "./in-words.ts";

test("a second worker that is wanted is missed until it comes, and again when it goes", async () => {
  const { vhost, channel } = await workingPipeline();
  const look = lookingAt(consumers, { queue: "ingest", tags: ["ingest-\\d$"], min: 2 }, { vhost });
  await expect.poll(look, LAG).toMatchObject({ state: "down", values: { consumers: 1 } });
  await channel.consume("ingest", () => {}, { consumerTag: "ctag-/app/ingest-2" });
  await expect.poll(look, LAG).toMatchObject({ state: "up", values: { consumers: 2 } });
  await channel.cancel("ctag-/app/ingest-1");
  await expect.poll(look, LAG).toMatchObject({ state: "down", reason: "consumer_missing" });
  await channel.deleteQueue("ingest");
  await expect.poll(look, LAG).toMatchObject({ state: "down", reason: "queue_missing" });
});

test("a worker on another queue is none", async () => {
  const { vhost, channel } = await workingPipeline();
  await channel.assertQueue("ingest.more");
  await channel.consume("ingest.more", () => {}, { consumerTag: "ctag-/app/other-1" });
  const look = (queue: string) => lookingAt(consumers, { queue, tags: ["other"] }, { vhost });
  await expect.poll(look("ingest.more"), LAG).toMatchObject({ state: "up" });
  expect(inBrief(await look("ingest")())).toBe("down consumer_missing");
});

test("the tag management is enough, and without one nothing is known", async () => {
  const { vhost } = await workingPipeline();
  const options = { queue: "ingest", tags: ["ingest"] };
  const credentials = await userIn(vhost, "management");
  await expect
    .poll(lookingAt(consumers, options, { vhost, credentials }), LAG)
    .toMatchObject({ state: "up" });
  const stranger = lookingAt(consumers, options, { vhost, credentials: await userIn(vhost, "") });
  expect(inBrief(await stranger())).toBe("unknown management_refused");
});

test("of a single active consumer the stand-by counts", async () => {
  const { vhost, channel } = await freshPipeline();
  await channel.assertQueue("single", { arguments: { "x-single-active-consumer": true } });
  for (const consumerTag of ["one", "two"]) await channel.consume("single", () => {}, { consumerTag });
  const look = lookingAt(consumers, { queue: "single", tags: ["one", "two"] }, { vhost });
  await expect.poll(look, LAG).toMatchObject({ state: "up", values: { consumers: 1 } });
});
