import { generateKeyPairSync } from "node:crypto";
import { connect, type Options } from "amqplib";
import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { encodeHeartbeat, type State } from "../packages/shared/src/heartbeat.ts";
import { rawPublicKey, signer } from "../packages/shared/src/signature.ts";
import { samplesOf } from "../packages/subscriber/test/samples.ts";
import { expectHealth, expectReady, freshEnvironment, startBundle } from "./processes.ts";

function pair() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { privateKey, publicKey: rawPublicKey(publicKey) };
}

const [own, foreign, others] = [pair(), pair(), pair()];

/** A subscriber that knows these keys, a look into its Redis, and a channel on which anybody may publish. */
async function running(env: Record<string, string>) {
  const fresh = await freshEnvironment();
  const subscriber = startBundle("subscriber", { ...fresh.subscriber, ...env });
  const redis = new Redis({ ...inject("redis"), db: fresh.redisDb });
  onTestFinished(() => redis.disconnect());
  await expectReady(fresh.url);
  const connection = await connect(fresh.amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createConfirmChannel();
  async function send(body: Buffer, headers?: Options.Publish["headers"]): Promise<void> {
    channel.publish("my_topic_exchange", "service.heartbeat", body, { headers });
    await channel.waitForConfirms();
  }
  return { ...fresh, subscriber, redis, send };
}

const bootStartMs = Date.now();

/** The heartbeat of one publisher, whose clock goes with its sequence. */
function heartbeat(sequence: number, state: State = "up", site = "tsd", name = "db"): Buffer {
  const sentAtMs = bootStartMs + sequence;
  const entry = { name, state, observedAtMs: sentAtMs };
  return encodeHeartbeat(
    {
      site,
      bootId: "boot",
      sequence,
      startedAtMs: bootStartMs,
      sentAtMs,
      uptimeMs: sequence,
      intervalMs: 60_000,
      cause: "interval",
      hosts: [entry],
      queues: [],
      services: [],
      components: [{ kind: "service", ...entry }],
    },
    2,
  );
}

async function rejectedCounts(url: string): Promise<Record<string, number>> {
  const samples = samplesOf(await (await fetch(`${url}/metrics`)).text());
  const counted = samples.filter(({ name, value }) => name.endsWith("rejected_total") && value > 0);
  return Object.fromEntries(counted.map(({ labels, value }) => [labels["reason"], value]));
}

const isUp = ({ code, problems }: { code: number; problems: readonly string[] }) =>
  expect({ code, problems }).toEqual({ code: 200, problems: [] });

test("what is forged, altered, unsigned, another site's or replayed is quarantined, counted and never applied", async () => {
  const keys = [`k1@tsd=${own.publicKey}`, `k2@other=${others.publicKey}`];
  const { url, redis, send, subscriber } = await running({ HEARTBEAT_VERIFY_KEYS: keys.join() });
  const sign = signer(own.privateKey, "k1");
  const first = heartbeat(1);
  await send(first, sign(first));
  await expectHealth(url, 5_000, isUp);

  const down = heartbeat(2, "down");
  const signature = sign(down)["x-heartbeat-signature"] ?? "";
  const keyId = { "x-heartbeat-key-id": "k1" };
  const byOthers = heartbeat(2, "down", "tsd");
  const inTheirName = heartbeat(1, "down", "other");
  const bad: [Buffer, Options.Publish["headers"]?][] = [
    [down], // unsigned
    [Buffer.from("garbage")],
    [down, { "x-other": "header" }],
    [down, signer(own.privateKey, "k3")(down)], // unknown key
    [down, signer(foreign.privateKey, "k1")(down)], // forged
    [down, sign(first)], // somebody else's signature
    [Buffer.concat([down, Buffer.from(" ")]), sign(down)], // altered
    [down, { ...keyId, "x-heartbeat-signature": signature.replace(/.==$/, "A==").toLowerCase() }],
    [down, keyId],
    [down, { "x-heartbeat-signature": signature }],
    [down, { ...keyId, "x-heartbeat-signature": Buffer.from(signature) }],
    [down, { "x-heartbeat-key-id": { "!": "int64", value: 7 }, "x-heartbeat-signature": [signature, {}] }],
    [down, { ...keyId, "x-heartbeat-signature": "v1=".padEnd(50_000, "A") }],
    [byOthers, signer(others.privateKey, "k2")(byOthers)], // wrong site
    [inTheirName, sign(inTheirName)],
    [Buffer.from("signed garbage"), sign(Buffer.from("signed garbage"))],
  ];
  for (const [body, headers] of bad) await send(body, headers);
  await send(first, sign(first));
  const last = heartbeat(3, "up", "tsd", "last");
  await send(last, sign(last));

  await expectHealth(url, 5_000, ({ code, sites, warnings }) => {
    expect(code).toBe(200);
    expect(sites.map(({ site, components }) => [site, components.map(({ name }) => name)])).toEqual([
      ["tsd", ["last"]],
    ]);
    expect(warnings.join("\n")).toMatch(/messages are refused: bad_signature, 9 /);
  });
  const expected = {
    unsigned: 3,
    unknown_key: 1,
    bad_signature: 9,
    wrong_site: 2,
    not_a_heartbeat: 1,
    replayed: 1,
  };
  expect(await rejectedCounts(url)).toMatchObject(expected);
  const rejected = (await redis.lrange("heartbeat:rejected", 0, -1)).map((line) => JSON.parse(line));
  const byCode = Map.groupBy(rejected, ({ code }) => code);
  expect(Object.fromEntries([...byCode].map(([code, list]) => [code, list.length]))).toMatchObject(expected);
  expect(new Set(byCode.get("wrong_site")?.map(({ reason }) => reason))).toEqual(
    new Set(["key 'k2' does not speak for site 'tsd'", "key 'k1' does not speak for site 'other'"]),
  );
  const events = JSON.stringify(await redis.xrange("heartbeat:{tsd}:events", "-", "+"));
  expect(events).not.toContain("down");
  expect(await redis.exists("heartbeat:{other}:site")).toBe(0);
  await vi.waitFor(() => expect(subscriber.printed()).toContain("signed by key 'k3'"), { timeout: 5_000 });
});

test("what need not be signed is taken in, but never with a wrong signature", async () => {
  const { url, send, subscriber } = await running({
    HEARTBEAT_VERIFY_KEYS: `k1@*=${own.publicKey}`,
    REQUIRE_SIGNATURE: "false",
  });
  await send(heartbeat(1));
  await expectHealth(url, 5_000, isUp);
  const down = heartbeat(2, "down");
  await send(down, signer(foreign.privateKey, "k1")(down));
  await send(down, signer(foreign.privateKey, "k2")(down));
  await send(down, { "x-heartbeat-key-id": "k1" });
  const last = heartbeat(3, "up", "other");
  await send(last, signer(own.privateKey, "k1")(last));
  await expectHealth(url, 5_000, (health) => {
    isUp(health);
    expect(health.sites.map(({ site }) => site).toSorted()).toEqual(["other", "tsd"]);
  });
  // A batch's states are stored before what it has to quarantine.
  await vi.waitFor(async () => {
    expect(await rejectedCounts(url)).toEqual({ bad_signature: 2, unknown_key: 1 });
    expect(subscriber.printed()).toContain("REQUIRE_SIGNATURE: is false");
  }, 5_000);
});
