import { type Address, addressText, parseAddress } from "@pipeline-heartbeat/shared/address.ts";
import {
  count,
  type Env,
  flag,
  oneOf,
  optionalText,
  port,
  variable,
} from "@pipeline-heartbeat/shared/config.ts";
import { certificateFile, type PemFile } from "@pipeline-heartbeat/shared/pem-file.ts";
import type * as z from "zod";

export type RedisServers =
  | { readonly kind: "server"; readonly address: Address; readonly db: number }
  | {
      readonly kind: "sentinels";
      readonly sentinels: readonly Address[];
      readonly primaryName: string;
      readonly db: number;
    }
  | { readonly kind: "cluster"; readonly nodes: readonly Address[] };

export type ServersOf<Kind> = Extract<RedisServers, { kind: Kind }>;

export interface RedisSettings {
  readonly servers: RedisServers;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Each server's certificate is checked against the name or address by which it is reached. */
  readonly tls: { readonly ca: PemFile | undefined } | undefined;
}

const SENTINEL_PORT = 26_379;
const REDIS_PORT = 6_379;

/** The variables about Redis. */
export const redisVariables = {
  // Of a URL, which may have a password in it, the whole would stand in the log.
  REDIS_HOST: variable(
    "a name or an address, not a URL",
    (host) => (/^[^\s/@]+$/.test(host) ? host : undefined),
    "redis",
  ),
  REDIS_PORT: port(REDIS_PORT),
  REDIS_DB: count(0, 0, 1_000_000),
  REDIS_USERNAME: optionalText(),
  REDIS_PASSWORD: optionalText(),
  REDIS_TLS: flag(false),
  REDIS_CA_CERT_PATH: certificateFile(),
  REDIS_SENTINELS: addresses(SENTINEL_PORT),
  REDIS_SENTINEL_NAME: optionalText(),
  REDIS_CLUSTER_NODES: addresses(REDIS_PORT),
  LEGACY_KEYS: oneOf(["reader-safe", "upstream", "off"], undefined),
};

type RedisVariables = z.output<z.ZodObject<typeof redisVariables>>;

export const redisSecrets = ["REDIS_PASSWORD"];

export const redisChecks: readonly ((env: Env) => string | undefined)[] = [
  ({ REDIS_SENTINELS, REDIS_SENTINEL_NAME }) =>
    Boolean(REDIS_SENTINELS) === Boolean(REDIS_SENTINEL_NAME)
      ? undefined
      : "REDIS_SENTINELS, REDIS_SENTINEL_NAME: set both or neither",
  ({ REDIS_CLUSTER_NODES, REDIS_SENTINELS }) =>
    REDIS_CLUSTER_NODES && REDIS_SENTINELS
      ? "REDIS_CLUSTER_NODES: set together with REDIS_SENTINELS; keep one of the two"
      : undefined,
  ({ REDIS_CLUSTER_NODES, REDIS_DB }) =>
    REDIS_CLUSTER_NODES && Number(REDIS_DB) > 0
      ? "REDIS_DB: expected 0 with REDIS_CLUSTER_NODES; a cluster has no other database"
      : undefined,
  ({ REDIS_CLUSTER_NODES, LEGACY_KEYS }) =>
    REDIS_CLUSTER_NODES && LEGACY_KEYS !== undefined && LEGACY_KEYS !== "off"
      ? "LEGACY_KEYS: expected off with REDIS_CLUSTER_NODES; the old reader knows no cluster"
      : undefined,
];

export function redisSettings(env: RedisVariables): RedisSettings {
  return {
    servers: servers(env),
    username: env.REDIS_USERNAME,
    password: env.REDIS_PASSWORD,
    tls: env.REDIS_TLS ? { ca: env.REDIS_CA_CERT_PATH } : undefined,
  };
}

function servers(env: RedisVariables): RedisServers {
  const [nodes, sentinels, db] = [env.REDIS_CLUSTER_NODES, env.REDIS_SENTINELS, env.REDIS_DB];
  if (nodes.length > 0) return { kind: "cluster", nodes };
  const primaryName = env.REDIS_SENTINEL_NAME;
  if (primaryName !== undefined) return { kind: "sentinels", sentinels, primaryName, db };
  return { kind: "server", address: { host: env.REDIS_HOST, port: env.REDIS_PORT }, db };
}

/** Which of the old reader's keys are written. */
export function readerKeys({ LEGACY_KEYS, REDIS_CLUSTER_NODES }: RedisVariables) {
  return LEGACY_KEYS ?? (REDIS_CLUSTER_NODES.length > 0 ? "off" : "reader-safe");
}

/**
 * What is set and does nothing. REDIS_HOST beside other addresses is no error: files that many deployments share set it.
 */
export function unusedRedisVariables(env: RedisVariables, environment: Env): string[] {
  const warnings: string[] = [];
  if (!env.REDIS_TLS && env.REDIS_CA_CERT_PATH) {
    warnings.push("REDIS_CA_CERT_PATH is set, but REDIS_TLS is not true: the connection is not encrypted");
  }
  const isCluster = env.REDIS_CLUSTER_NODES.length > 0;
  if (!isCluster && env.REDIS_SENTINELS.length === 0) return warnings;
  const instead = isCluster ? "REDIS_CLUSTER_NODES" : "REDIS_SENTINELS";
  for (const name of ["REDIS_HOST", "REDIS_PORT"]) {
    if (environment[name] !== undefined) warnings.push(`${name} is not used: ${instead} is set`);
  }
  return warnings;
}

/** How the operator is told where the state is kept. */
export function redisName(servers: RedisServers): string {
  if (servers.kind === "server") return addressText(servers.address);
  if (servers.kind === "cluster") return `cluster ${servers.nodes.map(addressText).join(", ")}`;
  return `primary ${servers.primaryName} of the sentinels ${servers.sentinels.map(addressText).join(", ")}`;
}

/** `host:port,host:port`; without a port it is the standard one. Empty counts as none. */
function addresses(standardPort: number) {
  const parse = (list: string) => {
    if (list === "") return [];
    const found = list.split(",").map((item) => parseAddress(item.trim(), standardPort));
    return found.every((one) => one !== undefined) ? found : undefined;
  };
  const expected = "host:port with commas between them, an IPv6 address in brackets";
  return variable<readonly Address[]>(expected, parse, []);
}
