import { connectionProblem } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import { type Cluster, Redis } from "ioredis";
import type { RedisSettings, ServersOf } from "../redis-config.ts";
import { connectCluster } from "./cluster-connection.ts";
import { endpointOf, type RedisProblems, renewedTlsOptions, serverOptions } from "./options.ts";
import { connectPrimary } from "./primary-connection.ts";

export type RedisClient = Redis | Cluster;

/** A connection that comes back by itself. While it is away, commands fail soon instead of waiting in memory. */
export function connectRedis(settings: RedisSettings, problems: RedisProblems): RedisClient {
  const { servers } = settings;
  if (servers.kind === "cluster") return connectCluster(servers, settings, problems);
  const redis =
    servers.kind === "server"
      ? connectServer(servers, settings, problems)
      : connectPrimary(servers, settings, problems);
  leaveWrongDatabase(redis);
  return redis;
}

function connectServer(
  { address, db }: ServersOf<"server">,
  settings: RedisSettings,
  { away }: RedisProblems,
): Redis {
  const { tls } = settings;
  const redis = new Redis({
    ...address,
    ...serverOptions(settings, db),
    ...(tls && { tls: renewedTlsOptions(tls, address.host) }),
  });
  redis.on("error", (error: unknown) => away(connectionProblem(error, endpointOf(address, settings))));
  return redis;
}

/** ioredis would go on in database 0, which is somebody else's. */
function leaveWrongDatabase(redis: Redis): void {
  redis.on("error", (error: unknown) => {
    if (isRefusedSelect(error)) redis.disconnect(true);
  });
}

function isRefusedSelect(error: unknown): boolean {
  if (!(error instanceof Error) || !("command" in error)) return false;
  const { command } = error;
  return typeof command === "object" && command !== null && "name" in command && command.name === "select";
}

/** Why a server does not let us in, in its own words; undefined when it is not that which keeps us from it. */
export function refusalOf(redis: RedisClient): () => string | undefined {
  let refusal: string | undefined;
  redis.on("ready", () => (refusal = undefined));
  redis.on("error", (error: unknown) => {
    refusal = error instanceof Error && error.name === "ReplyError" ? errorText(error) : undefined;
  });
  return () => refusal;
}

/** What is the matter when a command fails, in words. */
export function commandProblem(error: unknown, refusal?: string): string {
  const message = errorText(error);
  const text = message.replace(/^Too many Cluster redirections\. Last error: \w*Error: /, "");
  if (/isn't (writeable|ready)|Connection is closed|max retries per request/i.test(text)) {
    return refusal ?? "not connected";
  }
  if (/^(MOVED|ASK) /.test(text)) return "the nodes of the cluster disagree about where a key is";
  return text === "Command timed out" ? "no answer in time" : text;
}
