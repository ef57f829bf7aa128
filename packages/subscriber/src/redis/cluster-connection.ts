import { connectionProblem } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
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
import { known, oneAtATime, unreachable } from "./unreachable.ts";

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

  const words = new Map<string, string>();
  cluster.on("node error", (error: unknown, key: string) => {
    const endpoint = endpointOf(addressOf(key), settings);
    if (errorCode(error) !== undefined) return nodeAway(connectionProblem(error, endpoint));
    const word = errorText(error);
    words.set(key, word);
    // Of the connections by which the nodes are asked for each other ioredis tells only that, whatever the cause.
    if (word !== "Connection is closed.") nodeAway(connectionProblem(known(word), endpoint));
  });
  const tellOfNodes = oneAtATime(async () => {
    const reasons = await unreachable(
      nodes.map((node) => endpointOf(node, settings)),
      words,
    );
    words.clear();
    if (reasons) away(`no node of the cluster answers: ${reasons}`);
  });
  cluster.on("error", tellOfNodes);
  cluster.on("reconnecting", tellOfNodes);
  cluster.on("refresh", () => {
    // A node that never met another one does not know its address, and ioredis leaves it out.
    if (cluster.nodes().length === 0)
      away("the cluster does not tell the addresses of its nodes: set cluster-announce-ip");
  });
  return cluster;
}
