import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { freePorts } from "../../../test/brokers/free-ports.ts";
import { type RedisServer, redisStarter } from "../../../test/brokers/redis-servers.ts";
import { redisStore } from "../src/redis/store.ts";
import { freshClusterStore } from "./fresh-cluster.ts";
import { hear } from "./hear.ts";

async function ownServerStore() {
  const [port = 0] = await freePorts(1);
  const { address, stop } = await (await redisStarter())({ port, args: ["--save", ""] });
  onTestFinished(stop);
  const redis = new Redis({ host: "127.0.0.1", port });
  onTestFinished(() => redis.disconnect());
  return { store: redisStore(redis, { maxSites: 10, readerKeys: "reader-safe" }), nodes: [address] };
}

async function limitMemory(nodes: readonly Pick<RedisServer, "command">[], bytes: number): Promise<void> {
  for (const { command } of nodes) await command("CONFIG", "SET", "maxmemory", bytes);
}

const stores = [
  { where: "one server", freshStore: ownServerStore },
  { where: "a cluster", freshStore: freshClusterStore },
];

test.each(stores)(
  "a full Redis takes no heartbeat, and the next one when there is room: $where",
  async ({ freshStore }) => {
    const { store, nodes } = await freshStore();
    const limit = (bytes: number) => limitMemory(nodes, bytes);
    const known = await hear(store, "tsd", [{}]);
    await limit(1);
    await expect(hear(store, "tsd", [{ state: "down" }])).rejects.toThrow("OOM");
    expect((await store.load("tsd")).record).toEqual(known);
    await limit(0);
    await hear(store, "tsd", [{ state: "down" }]);
    expect((await store.load("tsd")).record?.components).toMatchObject([{ state: "down" }]);
  },
);

test.each(stores)("a site can be forgotten to make room: $where", async ({ freshStore }) => {
  const { store, nodes } = await freshStore();
  await hear(store, "tsd", [{}]);
  await limitMemory(nodes, 1);
  onTestFinished(() => limitMemory(nodes, 0));
  expect(await store.forget(await store.load("tsd"), "tsd", Date.now(), [])).toBe(true);
  expect((await store.load("tsd")).record).toBeUndefined();
});
