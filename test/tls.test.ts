import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "amqplib";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { type Authority, createAuthority } from "./certificates.ts";
import { expectHealth, freshEnvironment, startBundle, temporaryFile } from "./processes.ts";
import { tlsProxy } from "./tls-proxy.ts";

/** A worker on a queue, and a broker and its management API that demand client certificates of the site's authority. */
async function secureSite() {
  const folder = mkdtempSync(join(tmpdir(), "tls-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const authority = createAuthority(folder, { name: "site-ca" });
  const server = authority.issue({ name: "mq.example", altNames: ["DNS:mq.example"] });

  const fresh = await freshEnvironment();
  const connection = await connect(fresh.amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createChannel();
  await channel.assertQueue("ingest");
  await channel.consume("ingest", () => {}, { consumerTag: "ctag-/app/sda-ingest-1" });

  const { host, amqpPort, managementPort } = inject("rabbitmq");
  const clients = { clientCa: authority };
  const broker = await tlsProxy({ host, port: amqpPort }, server, clients);
  const api = await tlsProxy({ host, port: managementPort }, server, clients);
  const listeners = [{ tag: "sda-ingest", name: "sda-ingest" }];
  const targets = { heartbeat: { rmq_consumers: [{ queue: "ingest", listeners }] } };
  const publisher = {
    ...fresh.publisher,
    RABBITMQ_MANAGEMENT_PORT: String(api.port),
    PUBLISHER_CONFIG_PATH: temporaryFile("publisher_config.json", JSON.stringify(targets)),
    PROBE_INTERVAL: "1",
  };
  const tls = tlsEnv(authority, broker.port);
  return { authority, url: fresh.url, publisher, subscriber: fresh.subscriber, tls, broker, api };
}

function tlsEnv(authority: Authority, port: number) {
  const client = authority.issue({ name: "client" });
  return {
    RABBITMQ_TLS: "true",
    RABBITMQ_HOST: "localhost",
    RABBITMQ_SERVER_NAME: "mq.example",
    RABBITMQ_TLS_PORT: String(port),
    RABBITMQ_CA_CERT_PATH: authority.certPath,
    RABBITMQ_CLIENT_CERT_PATH: client.certPath,
    RABBITMQ_CLIENT_KEY_PATH: client.keyPath,
  };
}

describe("with mutual TLS and a private authority", () => {
  test("the main job works, consumers included", async () => {
    const { url, publisher, subscriber, tls } = await secureSite();
    const inside = startBundle("publisher", { ...publisher, ...tls });
    const outside = startBundle("subscriber", { ...subscriber, ...tls });
    await expectHealth(url, 30_000, ({ code, problems }) =>
      expect({ code, problems }).toEqual({ code: 200, problems: [] }),
    );
    for (const { printed } of [inside, outside]) expect(printed()).not.toMatch(/unavailable|warning/i);
  });

  test("a wrong authority is one warning for the broker and one for the management API, both with the file", async () => {
    const { publisher, tls, authority, broker, api } = await secureSite();
    const folder = mkdtempSync(join(tmpdir(), "tls-test-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const { certPath } = createAuthority(folder, { name: "other-ca" });
    // What upstream's deployments may have set to get around its faults must not get around ours.
    const env = { ...publisher, ...tls, RABBITMQ_CA_CERT_PATH: certPath, NODE_TLS_REJECT_UNAUTHORIZED: "0" };
    const { printed } = startBundle("publisher", env);
    await expect.poll(printed, { timeout: 10_000 }).toContain("management API unavailable");
    await expect.poll(printed, { timeout: 10_000 }).toContain("broker unavailable");
    // Each attempt is two connections.
    for (const proxy of [broker, api]) {
      await expect.poll(() => proxy.connections, { timeout: 10_000 }).toBeGreaterThan(5);
    }
    expect(printed().match(/unavailable"/g)).toHaveLength(2);
    expect(printed()).toContain(`(issued by 'site-ca') is not from an authority in ${certPath}`);
    expect(printed()).not.toContain(authority.certPath);
  });

  test("files that cannot be what they should are told at the start, by name and path", async () => {
    const { publisher, subscriber, tls, authority } = await secureSite();
    const noise = temporaryFile("noise.pem", "hunter2");
    const wrong = { ...tls, RABBITMQ_CA_CERT_PATH: noise, RABBITMQ_CLIENT_KEY_PATH: authority.keyPath };
    const inside = startBundle("publisher", { ...publisher, ...wrong });
    const outside = startBundle("subscriber", { ...subscriber, ...wrong, REDIS_CA_CERT_PATH: noise });
    expect([await inside.ended(), await outside.ended()]).toEqual([78, 78]);
    for (const { printed } of [inside, outside]) {
      expect(printed()).toContain(`RABBITMQ_CA_CERT_PATH: ${noise} holds no certificate in PEM form\n`);
      expect(printed()).toContain(`RABBITMQ_CLIENT_KEY_PATH: ${authority.keyPath} does not belong to`);
      expect(printed()).not.toContain("hunter2");
    }
    expect(outside.printed()).toContain(`REDIS_CA_CERT_PATH: ${noise} holds no certificate`);
  });
});
