import {
  brokerSecrets,
  brokerSettings,
  brokerTopology,
  brokerVariables,
  clientCertificateCheck,
  modeVariable,
  unusedTls,
} from "@pipeline-heartbeat/shared/broker-config.ts";
import {
  count,
  decimal,
  type Env,
  flag,
  notYetSupported,
  oneOf,
  optionalText,
  parseConfig,
  port,
  seconds,
  text,
  variable,
} from "@pipeline-heartbeat/shared/config.ts";
import { certificateFile } from "@pipeline-heartbeat/shared/pem-file.ts";
import { SITE_PATTERN } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { LOG_LEVELS } from "@pipeline-heartbeat/shared/service.ts";
import type { TlsSettings } from "@pipeline-heartbeat/shared/tls.ts";
import * as z from "zod";

/** @throws {ConfigError} with every problem of the environment */
export function readConfig(environment: Env) {
  const env = parseConfig(schema, environment, {
    secrets: [...brokerSecrets, "REDIS_PASSWORD"],
    checks: [clientCertificateCheck],
  });
  return {
    broker: brokerSettings(env),
    topology: brokerTopology(env, "subscriber"),
    redis: {
      host: env.REDIS_HOST,
      port: env.REDIS_PORT,
      db: env.REDIS_DB,
      username: env.REDIS_USERNAME,
      password: env.REDIS_PASSWORD,
      tls: env.REDIS_TLS ? redisTls(env) : undefined,
    },
    http: { host: env.HTTP_HOST, port: env.HTTP_PORT },
    warnings: [...unusedTls(env), ...unusedRedisTls(env)],
    defaultSite: env.HEARTBEAT_SITE,
    apply: { expectedIntervalMs: env.EXPECTED_INTERVAL, silenceFactor: env.SILENCE_FACTOR },
    verdict: { expectedSites: env.EXPECTED_SITES, unknownAs: env.UNKNOWN_AS },
    store: { maxSites: env.MAX_SITES, readerKeys: env.LEGACY_KEYS },
  };
}

const siteName = (name: string) => (SITE_PATTERN.test(name) ? name : undefined);
const siteNames = (list: string) => {
  const names = list.split(",").map((name) => name.trim());
  return names.every(siteName) ? [...new Set(names)] : undefined;
};

const schema = z.object({
  ...brokerVariables,
  HEARTBEAT_MODE: modeVariable("subscriber"),
  HEARTBEAT_SITE: variable("1 to 64 of A-Z a-z 0-9 _ . -", siteName, "default"),
  HEARTBEAT_VERIFY_KEYS: notYetSupported(),
  HEARTBEAT_VERIFY_KEYS_FILE: notYetSupported(),
  REQUIRE_SIGNATURE: notYetSupported(),
  EXPECTED_SITES: variable(
    "names of sites with commas between them",
    (list) => (list === "" ? [] : siteNames(list)),
    Array<string>(),
  ),
  MAX_SITES: count(1_000, 1, 100_000),
  EXPECTED_INTERVAL: seconds(60_000, 0.1, 86_400),
  SILENCE_FACTOR: decimal(2.5, 1, 1_000),
  UNKNOWN_AS: oneOf(["fail", "warn"], "fail"),
  LEGACY_KEYS: oneOf(["reader-safe", "upstream", "off"], "reader-safe"),
  LOG_LEVEL: oneOf(LOG_LEVELS, "info"),
  REDIS_HOST: text("redis"),
  REDIS_PORT: port(6379),
  REDIS_DB: count(0, 0, 1_000_000),
  REDIS_USERNAME: optionalText(),
  REDIS_PASSWORD: optionalText(),
  REDIS_TLS: flag(false),
  REDIS_CA_CERT_PATH: certificateFile(),
  REDIS_SENTINELS: notYetSupported(),
  REDIS_SENTINEL_NAME: notYetSupported(),
  REDIS_CLUSTER_NODES: notYetSupported(),
  HTTP_HOST: text("0.0.0.0"),
  HTTP_PORT: port(8080),
  API_TOKEN: notYetSupported(),
  API_TOKEN_FILE: notYetSupported(),
  HTTP_TLS_CERT_PATH: notYetSupported(),
  HTTP_TLS_KEY_PATH: notYetSupported(),
});

type Variables = z.output<typeof schema>;

function redisTls({ REDIS_HOST, REDIS_CA_CERT_PATH }: Variables): TlsSettings {
  return { ca: REDIS_CA_CERT_PATH, cert: undefined, key: undefined, serverName: REDIS_HOST };
}

function unusedRedisTls({ REDIS_TLS, REDIS_CA_CERT_PATH }: Variables): string[] {
  if (REDIS_TLS || !REDIS_CA_CERT_PATH) return [];
  return ["REDIS_CA_CERT_PATH is set, but REDIS_TLS is not true: the connection is not encrypted"];
}
