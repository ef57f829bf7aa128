import { connectionProblem } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { Cluster } from "ioredis";
import type { RedisSettings, ServersOf } from "../redis-config.ts";
import {
  addressOf,
  connectionOptions,
  endpointOf,
  type RedisProblems,
  renewedTlsOptions,
  retryMs,
} from "./options.ts";
import { oneAtATime, unreachable } from "./unreachable.ts";

/** Each takes up to 100 ms while a node is away. */
const MAX_REDIRECTIONS = 5;

/** Connections to all nodes of a cluster, found by way of those that are configured. */
export function connectCluster(
  { nodes }: ServersOf<"cluster">,
  settings: RedisSettings,
  { away, nodeAway }: RedisProblems,
): Cluster {
  const { tls } = settings;
  const cluster = new Cluster([...nodes], {
    redisOptions: { ...connectionOptions(settings), ...(tls && { tls: renewedTlsOptions(tls) }) },
    enableOfflineQueue: false,
    // A cluster that is down says so itself, at each command; ioredis would keep it to itself.
    enableReadyCheck: false,
    maxRedirections: MAX_REDIRECTIONS,
    clusterRetryStrategy: retryMs,
    // Names stay names: the certificates are made out to them.
    dnsLookup: (host, done) => done(null, host),
  });

  const tellOfNodes = oneAtATime(async (lastWord: string | undefined) => {
    const reasons = await unreachable(nodes.map((node) => endpointOf(node, settings)));
    if (reasons.length < nodes.length && lastWord !== undefined) reasons.push(lastWord);
    away(`no node of the cluster answers: ${reasons.join("; ")}`);
  });
  cluster.on("error", (error: unknown) => tellOfNodes(lastProblem(error)));
  cluster.on("node error", (error: unknown, key: string) => {
    nodeAway(connectionProblem(error, endpointOf(addressOf(key), settings)));
  });
  return cluster;
}

/** What the last node said that was asked for the others. */
function lastProblem(error: unknown): string | undefined {
  const last = error instanceof Error && "lastNodeError" in error ? error.lastNodeError : error;
  return last instanceof Error ? last.message : undefined;
}
