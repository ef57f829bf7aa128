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
  notYetSupported,
  oneOf,
  parseConfig,
  seconds,
  variable,
} from "@pipeline-heartbeat/shared/config.ts";
import { SITE_PATTERN } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { httpVariables } from "@pipeline-heartbeat/shared/http-address.ts";
import { certificateFile, keyPairCheck, privateKeyFile } from "@pipeline-heartbeat/shared/pem-file.ts";
import { LOG_LEVELS } from "@pipeline-heartbeat/shared/service.ts";
import * as z from "zod";
import { apiTokenVariable, apiTokenWarnings } from "./http/api-token.ts";
import {
  readerKeys,
  redisChecks,
  redisSecrets,
  redisSettings,
  redisVariables,
  unusedRedisVariables,
} from "./redis-config.ts";

/** @throws {ConfigError} with every problem of the environment */
export function readConfig(environment: Env) {
  const env = parseConfig(schema, environment, {
    secrets: [...brokerSecrets, ...redisSecrets, "API_TOKEN"],
    checks: [clientCertificateCheck, ...redisChecks, keyPairCheck("HTTP_TLS_CERT_PATH", "HTTP_TLS_KEY_PATH")],
  });
  return {
    broker: brokerSettings(env),
    topology: brokerTopology(env, "subscriber"),
    redis: redisSettings(env),
    http: { host: env.HTTP_HOST, port: env.HTTP_PORT },
    apiToken: env.API_TOKEN,
    httpTls:
      env.HTTP_TLS_CERT_PATH && env.HTTP_TLS_KEY_PATH
        ? { cert: env.HTTP_TLS_CERT_PATH, key: env.HTTP_TLS_KEY_PATH }
        : undefined,
    warnings: [
      ...unusedTls(env),
      ...unusedRedisVariables(env, environment),
      ...apiTokenWarnings(env.API_TOKEN),
    ],
    defaultSite: env.HEARTBEAT_SITE,
    apply: { expectedIntervalMs: env.EXPECTED_INTERVAL, silenceFactor: env.SILENCE_FACTOR },
    verdict: { expectedSites: env.EXPECTED_SITES, unknownAs: env.UNKNOWN_AS },
    store: { maxSites: env.MAX_SITES, readerKeys: readerKeys(env) },
  };
}

const siteName = (name: string) => (SITE_PATTERN.test(name) ? name : undefined);
const siteNames = (list: string) => {
  const names = list.split(",").map((name) => name.trim());
  return names.every(siteName) ? [...new Set(names)] : undefined;
};

export const subscriberHttp = httpVariables({ host: "0.0.0.0", port: 8080 });

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
  LOG_LEVEL: oneOf(LOG_LEVELS, "info"),
  ...redisVariables,
  ...subscriberHttp,
  API_TOKEN: apiTokenVariable(),
  HTTP_TLS_CERT_PATH: certificateFile(),
  HTTP_TLS_KEY_PATH: privateKeyFile(),
});
