import { addressText } from "@pipeline-heartbeat/shared/address.ts";
import {
  type BrokerSettings,
  brokerSecrets,
  brokerSettings,
  brokerTls,
  brokerTopology,
  brokerVariables,
  clientCertificateCheck,
  modeVariable,
  unusedTls,
} from "@pipeline-heartbeat/shared/broker-config.ts";
import {
  count,
  type Env,
  flag,
  oneOf,
  parseConfig,
  port,
  readTextFile,
  seconds,
  variable,
} from "@pipeline-heartbeat/shared/config.ts";
import { endpointOf } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { SITE_PATTERN } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { httpVariables } from "@pipeline-heartbeat/shared/http-address.ts";
import { LOG_LEVELS } from "@pipeline-heartbeat/shared/service.ts";
import { DEFAULT_KEY_ID, KEY_ID_PATTERN, signer } from "@pipeline-heartbeat/shared/signature.ts";
import type { TlsSettings } from "@pipeline-heartbeat/shared/tls.ts";
import * as z from "zod";
import type { Detail } from "./compose.ts";
import type { ConsumerSource } from "./probes/consumers.ts";
import { signingKey } from "./signing-key.ts";
import { parseTargets } from "./parse-file.ts";
import type { BasePolicy } from "./policy-options.ts";

/** Upstream's default. */
const PUBLISH_INTERVAL_S = 60;
const MAX_PROBE_INTERVAL_S = 10;
export const DEFAULT_CONFIG_PATH = "/publisher_config.json";

const DETAILS: readonly Detail[] = ["none", "code", "text"];
const CONSUMER_SOURCES: readonly ConsumerSource[] = ["auto", "management", "passive"];

export type Config = ReturnType<typeof configOf>;

/** @throws {ConfigError} with every problem of the environment and of publisher_config.json */
export function readConfig(environment: Env) {
  return configOf(readVariables(environment));
}

/** Each of them may also come as NAME_FILE. */
export const SECRET_VARIABLES: readonly string[] = [...brokerSecrets, "HEARTBEAT_SIGNING_KEY"];

/** @throws {ConfigError} as readConfig */
export function readVariables(environment: Env) {
  return parseConfig(schema, environment, {
    secrets: SECRET_VARIABLES,
    checks: [clientCertificateCheck, signedFormatCheck],
  });
}

export type Variables = z.output<typeof schema>;

export function configOf(env: Variables) {
  const publishIntervalMs = env.PUBLISH_INTERVAL;
  return {
    site: env.HEARTBEAT_SITE,
    broker: brokerSettings(env),
    topology: brokerTopology(env, "publisher"),
    /** The management API of the broker at this address. */
    management: ({ host, user, password, vhost }: BrokerSettings) => ({
      url: env.RABBITMQ_MANAGEMENT_URL ?? managementUrl(env, host),
      user,
      password,
      vhost,
      tls: managementTls(env, host),
    }),
    /** Then it is another one whenever the broker is. */
    isManagementOfOurBroker: env.RABBITMQ_MANAGEMENT_URL === undefined && env.RABBITMQ_HOST.length > 1,
    consumerSource: env.RABBITMQ_CONSUMER_SOURCE,
    targetsPath: env.PUBLISHER_CONFIG_PATH.path,
    targetsText: env.PUBLISHER_CONFIG_PATH.text,
    targets: env.PUBLISHER_CONFIG_PATH.targets,
    warnings: [
      ...env.PUBLISHER_CONFIG_PATH.ignored,
      ...env.PUBLISHER_CONFIG_PATH.warnings,
      ...(publishIntervalMs < (env.PROBE_INTERVAL ?? 0)
        ? ["PROBE_INTERVAL: is longer than PUBLISH_INTERVAL, which counts in its place"]
        : []),
      ...(env.HEARTBEAT_SIGNING_KEY_ID !== undefined && !env.HEARTBEAT_SIGNING_KEY
        ? ["HEARTBEAT_SIGNING_KEY_ID: is set without HEARTBEAT_SIGNING_KEY: nothing is signed"]
        : []),
      ...unusedTls(env, env.RABBITMQ_MANAGEMENT_URL?.startsWith("https:")),
    ],
    publishIntervalMs,
    publishOnChange: env.PUBLISH_ON_CHANGE,
    basePolicy: {
      // A heartbeat that tells of an earlier look than the one before it would be no news.
      intervalMs: Math.min(env.PROBE_INTERVAL ?? MAX_PROBE_INTERVAL_S * 1000, publishIntervalMs),
      timeoutMs: env.PROBE_TIMEOUT,
      // In format 1 the newest look is all that tells one heartbeat from the next.
      longestIntervalMs: env.HEARTBEAT_FORMAT === "1" ? publishIntervalMs : Infinity,
      consumersAsk: env.RABBITMQ_CONSUMER_SOURCE === "passive" ? "passive" : "broker",
    } satisfies BasePolicy,
    probeConcurrency: env.PROBE_CONCURRENCY,
    format: env.HEARTBEAT_FORMAT === "1" ? (1 as const) : (2 as const),
    detail: env.HEARTBEAT_DETAIL,
    // Format 1 has no word for what comes late.
    bufferHeartbeats: env.HEARTBEAT_FORMAT === "1" ? 0 : env.BUFFER_HEARTBEATS,
    sign:
      env.HEARTBEAT_SIGNING_KEY &&
      signer(env.HEARTBEAT_SIGNING_KEY, env.HEARTBEAT_SIGNING_KEY_ID ?? DEFAULT_KEY_ID),
    http: env.HTTP_PORT === 0 ? undefined : { host: env.HTTP_HOST, port: env.HTTP_PORT },
    logLevel: env.LOG_LEVEL,
  };
}

/** Inside the wall nothing is opened to the network unasked. */
export const publisherHttp = httpVariables({ host: "127.0.0.1", port: 8081 }, { leastPort: 0 });

const schema = z.object({
  ...brokerVariables,
  HEARTBEAT_MODE: modeVariable("publisher"),
  RABBITMQ_MANAGEMENT_PORT: port(undefined),
  RABBITMQ_MANAGEMENT_URL: variable(
    "a URL such as https://mq.example:15671, without path, user or password",
    httpOrigin,
    undefined,
  ),
  RABBITMQ_CONSUMER_SOURCE: oneOf(CONSUMER_SOURCES, "auto"),
  HEARTBEAT_SITE: variable(
    "1 to 64 of A-Z a-z 0-9 _ . -",
    (name) => (SITE_PATTERN.test(name) ? name : undefined),
    "default",
  ),
  HEARTBEAT_FORMAT: oneOf(["1", "2"], "2"),
  HEARTBEAT_DETAIL: oneOf(DETAILS, "code"),
  BUFFER_HEARTBEATS: count(1440, 0, 100_000),
  HEARTBEAT_SIGNING_KEY: signingKey(),
  HEARTBEAT_SIGNING_KEY_ID: variable(
    "1 to 64 of A-Z a-z 0-9 _ . -",
    (id) => (KEY_ID_PATTERN.test(id) ? id : undefined),
    undefined,
  ),
  ...publisherHttp,
  LOG_LEVEL: oneOf(LOG_LEVELS, "info"),
  PUBLISH_INTERVAL: seconds(PUBLISH_INTERVAL_S * 1000, 0.1, 86_400),
  PUBLISH_ON_CHANGE: flag(true),
  PUBLISHER_CONFIG_PATH: targetsFile(DEFAULT_CONFIG_PATH),
  PROBE_INTERVAL: seconds(undefined, 0.1, 86_400),
  PROBE_TIMEOUT: seconds(5_000, 0.1, 600),
  PROBE_CONCURRENCY: count(100, 1, 10_000),
});

export const VARIABLE_NAMES: readonly string[] = Object.keys(schema.shape);

/** The path of publisher_config.json; the value is what the file asks to be watched. */
function targetsFile(fallback: string) {
  return z
    .string()
    .optional()
    .transform((given, context) => {
      const path = given || fallback;
      const file = readTextFile(path);
      if (!file.ok) {
        context.addIssue(file.problem);
        return z.NEVER;
      }
      const parsed = parseTargets(file.text);
      if (parsed.ok) return { path, text: file.text, ...parsed };
      for (const problem of parsed.problems) context.addIssue(`${path}: ${problem}`);
      return z.NEVER;
    });
}

/** A heartbeat in format 1 names no site, so its signature would hold for every site that the key may speak for. */
function signedFormatCheck(env: Env): string | undefined {
  const isSigned = env["HEARTBEAT_SIGNING_KEY"] !== undefined;
  if (env["HEARTBEAT_FORMAT"] !== "1" || !isSigned) return undefined;
  return "HEARTBEAT_SIGNING_KEY: cannot be used with HEARTBEAT_FORMAT=1, which is upstream's message; remove one of the two";
}

function managementUrl(env: Variables, host: string): string {
  const [protocol, standardPort] = env.RABBITMQ_TLS ? ["https", 15_671] : ["http", 15_672];
  return `${protocol}://${addressText({ host, port: env.RABBITMQ_MANAGEMENT_PORT ?? standardPort })}`;
}

/** Whether it is used depends on the URL alone. A host of its own has a name of its own. */
function managementTls(env: Variables, brokerHost: string): TlsSettings {
  const url = env.RABBITMQ_MANAGEMENT_URL;
  if (url === undefined) return brokerTls(env, brokerHost);
  const { host } = endpointOf(url, undefined);
  const tls = brokerTls(env, host);
  const isBroker = env.RABBITMQ_HOST.some((broker) => broker.host === host);
  return isBroker ? tls : { ...tls, serverName: host };
}

function httpOrigin(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isOrigin =
    url &&
    /^https?:$/.test(url.protocol) &&
    url.pathname === "/" &&
    !url.username &&
    !url.password &&
    !url.search;
  return isOrigin ? url.origin : undefined;
}
