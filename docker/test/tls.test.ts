import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { RabbitMQContainer } from "@testcontainers/rabbitmq";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Authority, type Certificate, createAuthority } from "../../test/certificates.ts";
import { expectHealth } from "../../test/processes.ts";
import { docker } from "./docker.ts";
import { isUp, startPipeline } from "./pipeline.ts";
import { type ServiceContainer, startService } from "./service-container.ts";
import { type SiteBrokers, startSiteBrokers } from "./site-brokers.ts";

/** Of FEGA-Norway's deployment. RABBITMQ_PORT, not RABBITMQ_TLS_PORT, says 5671 there. */
const FEGA = {
  RABBITMQ_HOST: "mq",
  RABBITMQ_PORT: "5671",
  RABBITMQ_EXCHANGE: "sda",
  RABBITMQ_TLS: "true",
  RABBITMQ_CA_CERT_PATH: "/app/certs/rootCA.pem",
};
const FEGA_PUBLISHER = {
  HEARTBEAT_MODE: "publisher",
  PUBLISH_INTERVAL: "60",
  RABBITMQ_MANAGEMENT_PORT: "15671",
  PUBLISHER_CONFIG_PATH: "/app/publisher_config.json",
};
const FEGA_SUBSCRIBER = { HEARTBEAT_MODE: "subscriber", REDIS_HOST: "redis", REDIS_PORT: "6379" };
const CLIENT = {
  RABBITMQ_CLIENT_CERT_PATH: "/app/certs/client.pem",
  RABBITMQ_CLIENT_KEY_PATH: "/app/certs/client.key",
};

/** Who shows a certificate shows one of the site's authority; nobody has to. */
const RABBITMQ_CONF = ["ssl_options", "management.ssl"]
  .flatMap((options) => [
    `${options}.cacertfile = /tls/ca.crt`,
    `${options}.certfile = /tls/mq.crt`,
    `${options}.keyfile = /tls/mq.key`,
    `${options}.verify = verify_peer`,
    `${options}.fail_if_no_peer_cert = false`,
  ])
  .concat("listeners.ssl.default = 5671", "management.tcp.port = 15672", "management.ssl.port = 15671")
  .join("\n");

let authority: Authority;
let brokers: SiteBrokers;
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "heartbeat-tls-"));
  authority = createAuthority(folder, { name: "site-ca" });
  const server = authority.issue({ name: "mq", altNames: ["DNS:mq"] });
  brokers = await startSiteBrokers((rabbitmq) => withTls(rabbitmq, server));
  return async () => {
    await brokers.stop();
    rmSync(folder, { recursive: true });
  };
});

function withTls(rabbitmq: RabbitMQContainer, server: Certificate): RabbitMQContainer {
  const file = (target: string, path: string) => ({ target, content: readFileSync(path), mode: 0o644 });
  return rabbitmq.withCopyContentToContainer([
    { target: "/etc/rabbitmq/conf.d/20-tls.conf", content: RABBITMQ_CONF, mode: 0o644 },
    file("/tls/ca.crt", authority.certPath),
    file("/tls/mq.crt", server.certPath),
    file("/tls/mq.key", server.keyPath),
  ]);
}

/** What is in a volume as FEGA-Norway mounts it over /app, and a client's certificate beside it. */
async function volume(configPath: string, { ca = authority, clients = authority } = {}): Promise<string> {
  const folder = temporaryFolder();
  const certs = join(folder, "certs");
  mkdirSync(certs);
  copyFileSync(configPath, join(folder, "publisher_config.json"));
  copyFileSync(ca.certPath, join(certs, "rootCA.pem"));
  const client = clients.issue({ name: basename(folder) });
  writeFileSync(join(certs, "client.pem"), readFileSync(client.certPath));
  writeFileSync(join(certs, "client.key"), readFileSync(client.keyPath));
  // So that another user may read it.
  chmodSync(folder, 0o755);
  return folder;
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "heartbeat-volume-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Asks a container, by the program in it, whether it is ready. */
function readinessOf({ handle }: ServiceContainer) {
  return async () => {
    const main = ["/nodejs/bin/node", "/opt/pipeline-heartbeat/main.js"];
    return await docker(["exec", handle.id, ...main, "healthcheck", "--ready"]);
  };
}

const PATIENCE = { timeout: 20_000, interval: 250 };

describe("with a private authority", () => {
  test("FEGA-Norway's deployment does its main job, with its volume over /app", async () => {
    const { network } = brokers;
    const { configPath, env } = await startPipeline(brokers);
    const mounts = { "/app": await volume(configPath) };
    const inside = await startService("publisher", {
      network,
      mounts,
      env: { ...env, ...FEGA, ...FEGA_PUBLISHER },
    });
    const outside = await startService("subscriber", {
      network,
      mounts,
      env: { ...env, ...FEGA, ...FEGA_SUBSCRIBER },
    });
    await expectHealth(outside.url, 30_000, isUp);
    for (const { printed } of [inside, outside]) expect(printed()).not.toMatch(/unavailable|warning/i);
  });

  test("a publisher with a client certificate of that authority is ready", async () => {
    const { configPath, env } = await startPipeline(brokers);
    const publisher = await startService("publisher", {
      network: brokers.network,
      mounts: { "/app": await volume(configPath) },
      env: { ...env, ...FEGA, ...FEGA_PUBLISHER, ...CLIENT },
    });
    await expect.poll(readinessOf(publisher), PATIENCE).toMatchObject({ exitCode: 0 });
  });

  test.each([
    {
      what: "a wrong authority",
      others: (other: Authority) => ({ ca: other }),
      told: "is not from an authority in /app/certs/rootCA.pem",
    },
    {
      what: "a client certificate of another authority",
      others: (other: Authority) => ({ clients: other }),
      told: "/app/certs/client.pem",
    },
  ])("$what is told, and the publisher is not ready", async ({ others, told }) => {
    const { configPath, env } = await startPipeline(brokers);
    const other = createAuthority(temporaryFolder(), { name: "other-ca" });
    const publisher = await startService("publisher", {
      network: brokers.network,
      mounts: { "/app": await volume(configPath, others(other)) },
      env: { ...env, ...FEGA, ...FEGA_PUBLISHER, ...CLIENT },
    });
    await expect.poll(publisher.printed, PATIENCE).toContain('"msg":"broker unavailable"');
    expect(publisher.printed()).toContain(told);
    expect(await readinessOf(publisher)()).toMatchObject({
      exitCode: 1,
      stdout: "http://127.0.0.1:8081/readyz: 503\n",
    });
  });
});
