import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createAuthority } from "../../../test/certificates.ts";
import { readConfig } from "../src/config.ts";

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "publisher-config-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** The configuration of a publisher that watches one host. */
function configOf(env: Record<string, string>) {
  const path = join(temporaryFolder(), "publisher_config.json");
  writeFileSync(path, JSON.stringify({ heartbeat: { hosts: [{ host: "db", port: 1, name: "the-db" }] } }));
  return readConfig({ PUBLISHER_CONFIG_PATH: path, ...env });
}

/** Where the management API is expected, for each address of the broker. */
const managementsOf = (env: Record<string, string>) => {
  const { broker, management } = configOf(env);
  return broker.map(management);
};

test.each([
  { env: {}, url: "http://localhost:15672", serverName: "localhost" },
  {
    env: { RABBITMQ_TLS: "true", RABBITMQ_HOST: "10.0.0.7", RABBITMQ_SERVER_NAME: "mq.example" },
    url: "https://10.0.0.7:15671",
    serverName: "mq.example",
  },
  {
    env: { RABBITMQ_TLS: "true", RABBITMQ_HOST: "fd00::7", RABBITMQ_MANAGEMENT_PORT: "443" },
    url: "https://[fd00::7]:443",
    serverName: "fd00::7",
  },
  {
    env: {
      RABBITMQ_HOST: "10.0.0.7",
      RABBITMQ_SERVER_NAME: "mq.example",
      RABBITMQ_MANAGEMENT_URL: "https://10.0.0.7:8443",
    },
    url: "https://10.0.0.7:8443",
    serverName: "mq.example",
  },
  {
    env: {
      RABBITMQ_HOST: "10.0.0.7",
      RABBITMQ_SERVER_NAME: "mq.example",
      RABBITMQ_MANAGEMENT_URL: "https://mq-admin.example",
    },
    url: "https://mq-admin.example",
    serverName: "mq-admin.example",
  },
  {
    env: { RABBITMQ_MANAGEMENT_URL: "https://[fd00::7]:8443" },
    url: "https://[fd00::7]:8443",
    serverName: "fd00::7",
  },
])("the management API at $url is expected to be $serverName", ({ env, url, serverName }) => {
  expect(managementsOf(env)).toMatchObject([{ url, tls: { serverName } }]);
});

test.each([
  {
    env: { RABBITMQ_HOST: "a,fd00::7,b:5" },
    apis: ["http://a:15672 a", "http://[fd00::7]:15672 fd00::7", "http://b:15672 b"],
    isOurBrokers: true,
  },
  {
    env: { RABBITMQ_HOST: "a,b", RABBITMQ_TLS: "true", RABBITMQ_SERVER_NAME: "mq.example" },
    apis: ["https://a:15671 mq.example", "https://b:15671 mq.example"],
    isOurBrokers: true,
  },
  {
    env: { RABBITMQ_HOST: "a,b", RABBITMQ_MANAGEMENT_URL: "https://b:1" },
    apis: ["https://b:1 b", "https://b:1 b"],
    isOurBrokers: false,
  },
  {
    env: { RABBITMQ_HOST: "a,b", RABBITMQ_SERVER_NAME: "mq.example", RABBITMQ_MANAGEMENT_URL: "https://b:1" },
    apis: ["https://b:1 mq.example", "https://b:1 mq.example"],
    isOurBrokers: false,
  },
  { env: { RABBITMQ_HOST: "a" }, apis: ["http://a:15672 a"], isOurBrokers: false },
])("of several brokers each has its own API unless one is named: $env", ({ env, apis, isOurBrokers }) => {
  expect(managementsOf(env).map(({ url, tls }) => `${url} ${tls.serverName}`)).toEqual(apis);
  expect(configOf(env).isManagementOfOurBroker).toBe(isOurBrokers);
});

test("certificates where nothing speaks TLS are warned about, and used for a management API by https", () => {
  const { certPath } = createAuthority(temporaryFolder(), { name: "site-ca" });
  const env = { RABBITMQ_CA_CERT_PATH: certPath };
  expect(configOf(env).warnings.join()).toContain("RABBITMQ_TLS is not true");
  expect(configOf({ ...env, RABBITMQ_TLS: "true" }).warnings).toEqual([]);
  const { warnings, management, broker } = configOf({ ...env, RABBITMQ_MANAGEMENT_URL: "https://mq:15671" });
  expect(warnings).toEqual([]);
  expect(broker[0].tls).toBeUndefined();
  expect(management(broker[0]).tls.ca?.path).toBe(certPath);
});

test("no look is older than the heartbeat before the one that tells of it", () => {
  const longer = configOf({ PUBLISH_INTERVAL: "5", PROBE_INTERVAL: "86400" });
  expect(longer.basePolicy.intervalMs).toBe(5_000);
  expect(longer.warnings).toEqual([
    "PROBE_INTERVAL: is longer than PUBLISH_INTERVAL, which counts in its place",
  ]);
  expect(configOf({ PROBE_INTERVAL: "60" })).toMatchObject({
    basePolicy: { intervalMs: 60_000, timeoutMs: 5_000, longestIntervalMs: Infinity, consumersAsk: "broker" },
    warnings: [],
  });
  expect(configOf({ PUBLISH_INTERVAL: "5" })).toMatchObject({
    basePolicy: { intervalMs: 5_000 },
    warnings: [],
  });
  expect(configOf({ HEARTBEAT_FORMAT: "1" })).toMatchObject({ basePolicy: { longestIntervalMs: 60_000 } });
});

test.each([
  { env: {}, kept: 1440 },
  { env: { BUFFER_HEARTBEATS: "0" }, kept: 0 },
  { env: { BUFFER_HEARTBEATS: "100", HEARTBEAT_FORMAT: "1" }, kept: 0 },
])("with $env so many heartbeats are kept: $kept", ({ env, kept }) => {
  expect(configOf(env).bufferHeartbeats).toBe(kept);
});
test.each(["https://user:hunter2@mq:15671", "https://:hunter2@mq:15671", "https://mq:15671/?hunter2"])(
  "a management URL takes no password, and does not repeat it",
  (url) => {
    expect(() => configOf({ RABBITMQ_MANAGEMENT_URL: url })).toThrow(
      /^configuration error:\n {2}RABBITMQ_MANAGEMENT_URL: expected a URL such as [^\n]*, without path, user or password$/,
    );
  },
);
