import { describe, expect, inject, test } from "vitest";
import { managementHeaders, managementUrl } from "../../../test/brokers/addresses.ts";
import { freshVhost } from "../../../test/fresh.ts";
import { federation } from "../src/probes/federation.ts";
import { shovel } from "../src/probes/shovel.ts";
import { lookingAt } from "./broker-look.ts";
import { freshPipeline, LAG, put, userIn } from "./fresh-pipeline.ts";
import { inBrief } from "./in-words.ts";

/** Not in every broker that the environment may name. */
const hasPlugins = await answers("shovels", "federation-links");

/** Nobody listens there. */
const NOWHERE = "amqp://guest:sEcret@127.0.0.1:1";

describe.runIf(hasPlugins)("shovels", () => {
  test("one that moves messages is up, one that cannot reach its destination and one that is not there are down", async () => {
    const { vhost, channel } = await freshPipeline();
    await putShovel(vhost, "good", {});
    await putShovel(vhost, "stuck", { "dest-uri": NOWHERE });
    const look = (...names: string[]) => lookingAt(shovel, { names }, { vhost });
    const good = look("good");
    await expect.poll(good, LAG).toMatchObject({ state: "up", values: { shovels_running: 1 } });
    channel.sendToQueue("from", Buffer.from("a message"));
    await expect.poll(async () => (await channel.checkQueue("to")).messageCount, LAG).toBe(1);
    expect(await look("stuck")()).toMatchObject({
      state: "down",
      reason: "link_not_running",
      detail: "shovel stuck is starting",
      values: { shovels_running: 0 },
    });
    expect(await look("gone")()).toMatchObject({ state: "down", reason: "link_missing" });
    const detail = "shovel gone is not there; shovel stuck is starting";
    expect(await look("good", "gone", "stuck")()).toMatchObject({
      reason: "link_missing",
      detail,
      values: { shovels_running: 1 },
    });
    await remove(`parameters/shovel/${vhost}/good`);
    await expect.poll(good, LAG).toMatchObject({ state: "down", reason: "link_missing" });
  });

  test("a shovel of the same name in another vhost is another one", async () => {
    const [{ vhost }, { name: other }] = [await freshPipeline(), await freshVhost()];
    await putShovel(vhost, "good", {});
    await expect.poll(lookingAt(shovel, { names: ["good"] }, { vhost }), LAG).toMatchObject({ state: "up" });
    const look = lookingAt(shovel, { names: ["good"] }, { vhost: other });
    expect(await look()).toMatchObject({ state: "down", reason: "link_missing" });
  });

  test("whoever lacks the tag, or is not let in, learns nothing, and says so", async () => {
    const { vhost } = await freshPipeline();
    await putShovel(vhost, "good", {});
    const look = async (tags: string) => {
      const credentials = await userIn(vhost, tags);
      return lookingAt(shovel, { names: ["good"] }, { vhost, credentials });
    };
    await expect.poll(await look("monitoring"), LAG).toMatchObject({ state: "up" });
    for (const tags of ["management", "policymaker"]) {
      expect(inBrief(await (await look(tags))())).toBe("unknown monitoring_tag_missing");
    }
    expect(inBrief(await (await look(""))())).toBe("unknown management_refused");
    const credentials = { ...inject("rabbitmq"), password: "wrong" };
    const stranger = lookingAt(shovel, { names: ["good"] }, { vhost, credentials });
    expect(inBrief(await stranger())).toBe("unknown management_refused");
  });
});

describe.runIf(hasPlugins)("federation", () => {
  test("the upstream whose links all run is up, the one that cannot be reached is down", async () => {
    const { vhost } = await federated();
    await putUpstream(vhost, "broken", NOWHERE);
    const look = (upstreams: string[], narrow: object = {}) =>
      lookingAt(federation, { upstreams, ...narrow }, { vhost });
    const [good, broken] = [look(["good"]), look(["broken"])];
    await expect.poll(good, LAG).toMatchObject({ state: "up", values: { links_running: 3 } });
    await expect.poll(broken, LAG).toMatchObject({ state: "down", reason: "link_not_running" });
    const seen = await look(["good", "broken"])();
    expect(seen).toMatchObject({ reason: "link_not_running", values: { links_running: 3 } });
    expect(seen.detail).toContain("link from broken to the exchange fed-one");
    expect(seen.detail).not.toContain("sEcret");
    for (const narrow of [{ exchange: "fed-one" }, { queue: "fed-queue" }]) {
      expect(await look(["good"], narrow)()).toMatchObject({ state: "up", values: { links_running: 1 } });
      expect(await look(["broken"], narrow)()).toMatchObject({ reason: "link_not_running" });
    }
  });

  test("an upstream that nothing is federated with has no link, and an exchange that no policy federates", async () => {
    const { vhost } = await federated();
    const look = (upstreams: string[], narrow: object = {}) =>
      lookingAt(federation, { upstreams, ...narrow }, { vhost });
    await expect.poll(look(["good"]), LAG).toMatchObject({ state: "up" });
    expect(inBrief(await look(["none"])())).toBe("down link_missing");
    expect(inBrief(await look(["good"], { exchange: "plain" })())).toBe("down link_missing");
    expect(inBrief(await look(["good"], { exchange: "fed-queue" })())).toBe("down link_missing");
    expect(await look(["good"], { exchange: "fed-one", queue: "gone" })()).toMatchObject({
      reason: "link_missing",
      detail: "link from good to the queue gone is not there",
      values: { links_running: 1 },
    });
    const { name: other } = await freshVhost();
    const elsewhere = lookingAt(federation, { upstreams: ["good"] }, { vhost: other });
    expect(inBrief(await elsewhere())).toBe("down link_missing");
  });

  test("whoever lacks the tag, or is not let in, learns nothing, and says so", async () => {
    const { vhost } = await federated();
    for (const [tags, says] of [
      ["management", "unknown monitoring_tag_missing"],
      ["", "unknown management_refused"],
    ] as const) {
      const credentials = await userIn(vhost, tags);
      const look = lookingAt(federation, { upstreams: ["good"] }, { vhost, credentials });
      expect(inBrief(await look())).toBe(says);
    }
    const credentials = await userIn(vhost, "monitoring");
    const look = lookingAt(federation, { upstreams: ["good"] }, { vhost, credentials });
    await expect.poll(look, LAG).toMatchObject({ state: "up" });
  });
});

/** Moves from one queue to the other, unless something else is said. The broker connects with itself. */
async function putShovel(vhost: string, name: string, value: object): Promise<void> {
  const uri = `amqp:///${vhost}`;
  const protocols = { "src-protocol": "amqp091", "dest-protocol": "amqp091" };
  const addresses = { "src-uri": uri, "src-queue": "from", "dest-uri": uri, "dest-queue": "to" };
  await put(`parameters/shovel/${vhost}/${name}`, { value: { ...protocols, ...addresses, ...value } });
}

/** Two exchanges and a queue with the same of another vhost for their upstream, and an exchange without one. */
async function federated() {
  const pipeline = await freshPipeline();
  const { vhost, channel } = pipeline;
  const { name: upstream } = await freshVhost();
  await putUpstream(vhost, "good", `amqp:///${upstream}`);
  const definition = { "federation-upstream-set": "all" };
  await put(`policies/${vhost}/federated`, { pattern: "^fed-", "apply-to": "all", definition });
  for (const exchange of ["fed-one", "fed-two", "plain"]) await channel.assertExchange(exchange, "topic");
  await channel.assertQueue("fed-queue");
  return pipeline;
}

async function putUpstream(vhost: string, name: string, uri: string): Promise<void> {
  await put(`parameters/federation-upstream/${vhost}/${name}`, { value: { uri, "reconnect-delay": 1 } });
}

async function remove(path: string): Promise<void> {
  const rabbitmq = inject("rabbitmq");
  await fetch(managementUrl(rabbitmq, path), { headers: managementHeaders(rabbitmq), method: "DELETE" });
}

async function answers(...paths: string[]): Promise<boolean> {
  const rabbitmq = inject("rabbitmq");
  const headers = managementHeaders(rabbitmq);
  const replies = await Promise.all(paths.map((path) => fetch(managementUrl(rabbitmq, path), { headers })));
  return replies.every(({ ok }) => ok);
}
