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
  oneOf,
  parseConfig,
  seconds,
  variable,
} from "@pipeline-heartbeat/shared/config.ts";
import { SITE_PATTERN } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { httpVariables } from "@pipeline-heartbeat/shared/http-address.ts";
import { LOG_LEVELS } from "@pipeline-heartbeat/shared/service.ts";
import { ANY_SITE, verifier } from "@pipeline-heartbeat/shared/signature.ts";
import * as z from "zod";
import {
  accessChecks,
  accessSecrets,
  accessSettings,
  accessVariables,
  accessWarnings,
} from "./http/access-config.ts";
import {
  readerKeys,
  redisChecks,
  redisSecrets,
  redisSettings,
  redisVariables,
  unusedRedisVariables,
} from "./redis-config.ts";
import { verifyKeys } from "./verify-keys.ts";

/** @throws {ConfigError} with every problem of the environment */
export function readConfig(environment: Env) {
  const env = parseConfig(schema, environment, {
    secrets: [...brokerSecrets, ...redisSecrets, ...accessSecrets, "HEARTBEAT_VERIFY_KEYS"],
    checks: [clientCertificateCheck, ...redisChecks, ...accessChecks, requiredKeysCheck],
  });
  return {
    broker: brokerSettings(env),
    topology: brokerTopology(env, "subscriber"),
    redis: redisSettings(env),
    http: { host: env.HTTP_HOST, port: env.HTTP_PORT },
    access: accessSettings(env),
    warnings: [
      ...unusedTls(env),
      ...unusedRedisVariables(env, environment),
      ...accessWarnings(env),
      ...signatureWarnings(env),
    ],
    defaultSite: env.HEARTBEAT_SITE,
    // Without keys nothing can be verified.
    verify:
      env.HEARTBEAT_VERIFY_KEYS.length > 0
        ? verifier(env.HEARTBEAT_VERIFY_KEYS, { isRequired: env.REQUIRE_SIGNATURE })
        : undefined,
    apply: { expectedIntervalMs: env.EXPECTED_INTERVAL, silenceFactor: env.SILENCE_FACTOR },
    verdict: { expectedSites: env.EXPECTED_SITES, unknownAs: env.UNKNOWN_AS },
    maxComponents: env.MAX_COMPONENTS,
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
  HEARTBEAT_VERIFY_KEYS: verifyKeys(),
  REQUIRE_SIGNATURE: flag(true),
  EXPECTED_SITES: variable(
    "names of sites with commas between them",
    (list) => (list === "" ? [] : siteNames(list)),
    Array<string>(),
  ),
  MAX_SITES: count(1_000, 1, 100_000),
  MAX_COMPONENTS: count(20_000, 1, 10_000_000),
  EXPECTED_INTERVAL: seconds(60_000, 0.1, 86_400),
  SILENCE_FACTOR: decimal(2.5, 1, 1_000),
  UNKNOWN_AS: oneOf(["fail", "warn"], "fail"),
  LOG_LEVEL: oneOf(LOG_LEVELS, "info"),
  ...redisVariables,
  ...subscriberHttp,
  ...accessVariables,
});

/** Without keys it is false unless somebody says otherwise, who then takes for verified what nobody can verify. */
function requiredKeysCheck(env: Env): string | undefined {
  // A variable that was empty or whose file cannot be read is told as that.
  const hasKeys = "HEARTBEAT_VERIFY_KEYS" in env || "HEARTBEAT_VERIFY_KEYS_FILE" in env;
  if (hasKeys || env["REQUIRE_SIGNATURE"]?.toLowerCase() !== "true") return undefined;
  return "REQUIRE_SIGNATURE: is true without HEARTBEAT_VERIFY_KEYS: every heartbeat would be refused";
}

function signatureWarnings(env: z.output<typeof schema>): string[] {
  const keys = env.HEARTBEAT_VERIFY_KEYS;
  if (keys.length === 0) return [];
  if (!env.REQUIRE_SIGNATURE) {
    return ["REQUIRE_SIGNATURE: is false: whoever can publish speaks for any site, without a signature"];
  }
  const mute = env.EXPECTED_SITES.filter(
    (expected) => !keys.some(({ site }) => site === expected || site === ANY_SITE),
  );
  return mute.map((site) => `HEARTBEAT_VERIFY_KEYS: no key speaks for site ${site} of EXPECTED_SITES`);
}
