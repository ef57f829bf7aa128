import { once } from "node:events";
import { Cluster } from "ioredis";
import { afterAll, onTestFinished } from "vitest";
import { type ClusterNode, startRedisCluster } from "../../../test/brokers/redis-cluster.ts";
import type { Started } from "../../../test/brokers/started.ts";
import { connectRedis } from "../src/redis/connection.ts";
import { redisStore, type RedisStoreOptions } from "../src/redis/store.ts";

let starting: Promise<Started<readonly ClusterNode[]>> | undefined;
afterAll(async () => await (await starting)?.stop());

/** The nodes of the one real cluster of this test file. */
async function clusterNodes(): Promise<readonly ClusterNode[]> {
  starting ??= startRedisCluster();
  return (await starting).address;
}

/** A store in the emptied cluster, with its client to look into it, and all problems that this tells. */
export async function freshClusterStore(options: Partial<RedisStoreOptions> = {}) {
  const nodes = await clusterNodes();
  for (const { command } of nodes) await command("FLUSHALL");
  const problems: string[] = [];
  const redis = connectRedis(
    {
      servers: { kind: "cluster", nodes: nodes.map(({ host, port }) => ({ host, port })) },
      username: undefined,
      password: undefined,
      tls: undefined,
    },
    { away: (problem) => problems.push(problem), nodeAway: (problem) => problems.push(problem) },
  );
  onTestFinished(() => redis.disconnect());
  if (!(redis instanceof Cluster)) throw new Error("not a cluster's client");
  await once(redis, "ready");
  const store = redisStore(redis, { maxSites: 1_000, readerKeys: "off", ...options });
  return { store, redis, nodes, problems };
}
