import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type ConsumeMessage, type MessageProperties } from "amqplib";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import type { Detail } from "../packages/publisher/src/compose.ts";
import { silentPort } from "../packages/publisher/test/silent-port.ts";
import { decodeHeartbeat } from "../packages/shared/src/decode.ts";
import { limitedUser } from "../packages/shared/test/fresh-broker.ts";
import { readLogin } from "./amqp-login.ts";
import { createAuthority } from "./certificates.ts";
import { freshProxy } from "./fresh-proxy.ts";
import { heardHeartbeats } from "./heard-heartbeats.ts";
import { documentedClientProperties, documentedFields, documentedProperties, fieldsOf } from "./inventory.ts";
import { freshEnvironment, runCommand, startBundle, temporaryFile } from "./processes.ts";
import { tlsProxy } from "./tls-proxy.ts";

const privateKey = generateKeyPairSync("ed25519")
  .privateKey.export({ format: "pem", type: "pkcs8" })
  .toString();

/** In all names that must not leave. */
const MARK = "hunter2";
const NAMES = [
  "sda-closed",
  "sda-silent",
  "sda-unknown",
  "sda-broadcast",
  "sda-child",
  "sda-web",
  "inbox",
  "sda-ingest",
  "archived",
];

/** What stands in no byte, whatever went wrong: words of errors, addresses and URLs. */
const ERROR_WORDS = ["ECONN", "EACCES", "getaddrinfo", "NOTFOUND", "AGAIN", "Error", "certificate"];
const ADDRESSES = ["127.0.0.1", "localhost", "255.255", "://", MARK];

async function targetsFile(): Promise<string> {
  const port = await silentPort();
  const hosts = [
    { host: "127.0.0.1", port: 1, name: "sda-closed" },
    { host: "127.0.0.1", port, name: "sda-silent" },
    { host: `${MARK}.invalid`, port, name: "sda-unknown" },
    { host: "255.255.255.255", port, name: "sda-broadcast" },
  ];
  const listeners = [{ tag: `^${MARK}`, name: "sda-ingest" }];
  const rmq_consumers = [{ queue: "inbox", listeners }, { queue: "archived" }];
  const { host, managementPort } = inject("rabbitmq");
  const components = [
    // Of a component that only warns, of one that is unknown because of another, and of values.
    { name: "sda-child", probe: "tcp", host: MARK, port: 1, dependsOn: "sda-closed", severity: "warn" },
    { name: "sda-web", probe: "http", url: `http://${host}:${managementPort}/#${MARK}` },
  ];
  const heartbeat = { hosts, rmq_consumers, components };
  return temporaryFile("publisher_config.json", JSON.stringify({ heartbeat }));
}

type Env = Record<string, string>;

/** Where the consumers are asked for, by the reason that comes of it. */
const SOURCES = {
  // The user has no tag.
  management_refused: async () => ({}),
  management_unreachable: async () => ({ RABBITMQ_MANAGEMENT_URL: "http://127.0.0.1:1" }),
  timeout: async () => ({ RABBITMQ_MANAGEMENT_URL: `http://127.0.0.1:${await silentPort()}` }),
  tls_failed: async () => {
    const folder = mkdtempSync(join(tmpdir(), "what-leaves-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const server = createAuthority(folder, { name: MARK }).issue({ name: `${MARK}.example` });
    const { host, managementPort } = inject("rabbitmq");
    const { port } = await tlsProxy({ host, port: managementPort }, server);
    return { RABBITMQ_MANAGEMENT_URL: `https://localhost:${port}` };
  },
  management_failed: async () => {
    const server = http.createServer(({ headers }, response) => {
      response.writeHead(500).end(`${MARK}: ${JSON.stringify(headers)}`);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    return { RABBITMQ_MANAGEMENT_URL: `http://127.0.0.1:${port}` };
  },
  tag_unchecked: async () => ({ RABBITMQ_CONSUMER_SOURCE: "passive" }),
} satisfies Record<string, () => Promise<Env>>;

/** Runs a publisher until all that can fail has failed and is believed, then stops it. */
async function publish(source: keyof typeof SOURCES, env: Env) {
  const fresh = await freshEnvironment();
  const { host, amqpPort } = inject("rabbitmq");
  const admin = {
    host,
    amqpPort,
    user: "",
    password: "",
    vhost: fresh.publisher.RABBITMQ_VHOST,
    tls: undefined,
  };
  const { settings } = await limitedUser(admin, { configure: ".*", write: ".*", read: ".*" });
  const heard = await heardHeartbeats(fresh.amqpUrl);
  const worker = await connect(fresh.amqpUrl);
  onTestFinished(() => worker.close());
  const channel = await worker.createChannel();
  await channel.assertQueue("inbox");
  await channel.consume("inbox", () => {});
  const proxy = await freshProxy({ host, port: amqpPort }, { isRecording: true });
  const { child, ended } = startBundle("publisher", {
    ...fresh.publisher,
    RABBITMQ_HOST: "localhost",
    RABBITMQ_PORT: String(proxy.port),
    RABBITMQ_USER: settings.user,
    RABBITMQ_PASS: settings.password,
    PUBLISHER_CONFIG_PATH: await targetsFile(),
    PUBLISH_INTERVAL: "0.5",
    PROBE_TIMEOUT: "0.4",
    HEARTBEAT_SITE: "tsd",
    ...(await SOURCES[source]()),
    ...env,
  });
  await vi.waitFor(() => expect(heard.messages.filter(isBelieved).length).toBeGreaterThan(1), {
    timeout: 20_000,
  });
  child.kill("SIGTERM");
  expect(await ended()).toBe(0);
  await heard.caughtUp();
  return { source, settings, messages: heard.messages, connections: proxy.sent().map(readLogin) };
}

/** Whether the failures of the hosts are believed, and the queues have been looked at twice. */
function isBelieved({ content }: ConsumeMessage): boolean {
  const decoded = decodeHeartbeat(content, 0);
  if (!decoded.ok) throw new Error(decoded.problem);
  const { components } = decoded.heartbeat;
  const down = components.filter(({ state }) => state === "down").length;
  return (
    down >= 4 && !components.some(({ reason }) => reason === "unconfirmed" || reason === "not_looked_yet")
  );
}

type Published = Awaited<ReturnType<typeof publish>>;

function bodies({ messages }: Published): string[] {
  return messages.map(({ content }) => content.toString());
}

/** The paths of all that is in any of the bodies. */
function fieldsIn(published: readonly Published[]): string[] {
  const fields = published.flatMap(bodies).flatMap((body) => fieldsOf(JSON.parse(body)));
  return [...new Set(fields)].toSorted();
}

/** As the AMQP specification calls them, headers included. */
function propertiesOf({ headers, ...properties }: MessageProperties): string[] {
  const set = Object.entries(properties).filter(([, value]) => value !== undefined);
  const names = set.map(([name]) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
  return [...names, ...Object.keys(headers ?? {})];
}

/** Whatever the detail: names, causes, properties, the login. */
function expectDocumented(published: Published, isSigned: boolean): void {
  const { messages, connections, settings } = published;
  const heartbeats = bodies(published).map((body) => JSON.parse(body));
  const causes = heartbeats.map(({ v2 }) => v2.cause);
  expect(causes).toContain("change");
  expect(causes.at(-1)).toBe("goodbye");
  const names = new Set<string>(
    heartbeats.flatMap(({ v2 }) => v2.components.map(({ name }: { name: string }) => name)),
  );
  expect(names).toEqual(new Set(NAMES));

  const documented = documentedProperties().filter((name) => isSigned || !name.startsWith("x-heartbeat-"));
  for (const { properties } of messages) {
    expect(propertiesOf(properties).toSorted()).toEqual(documented.toSorted());
    expect(properties.messageId).toMatch(/^[0-9a-f-]{36}\/\d+$/);
  }
  expect(connections.length).toBeGreaterThan(0);
  for (const { clientProperties, response, after } of connections) {
    expect(Object.keys(clientProperties).toSorted()).toEqual(documentedClientProperties().toSorted());
    expect(clientProperties["connection_name"]).toBe("pipeline-heartbeat publisher tsd");
    expect(JSON.stringify(clientProperties)).not.toContain(hostname());
    expect(response).toBe(`\u0000${settings.user}\u0000${settings.password}`);
    // In nothing that follows the login, the heartbeats included. The user's name begins with the password.
    expect(settings.user).toContain(settings.password);
    expect(after.includes(settings.password)).toBe(false);
    expect(after.includes(Buffer.from(`${settings.user}:`).toString("base64").slice(0, 20))).toBe(false);
  }
}

describe("with HEARTBEAT_DETAIL", () => {
  test.each<{ detail: Detail; env: Env; sources: (keyof typeof SOURCES)[] }>([
    { detail: "none", env: { HEARTBEAT_DETAIL: "none" }, sources: ["management_failed"] },
    // The default, and signed.
    {
      detail: "code",
      env: { HEARTBEAT_SIGNING_KEY: privateKey, HEARTBEAT_SIGNING_KEY_ID: "tsd-2027" },
      sources: [
        "management_refused",
        "management_unreachable",
        "timeout",
        "tls_failed",
        "management_failed",
        "tag_unchecked",
      ],
    },
  ])("$detail no host, address, URL, user or error text is in any byte", async ({ detail, env, sources }) => {
    const all = await Promise.all(sources.map((source) => publish(source, env)));
    expect(fieldsIn(all)).toEqual(documentedFields(detail));
    for (const published of all) {
      expectDocumented(published, detail === "code");
      if (detail === "code") expect(bodies(published).join()).toContain(`"reason":"${published.source}"`);
      for (const { after } of published.connections) {
        const text = after.toString("latin1").replaceAll(/v1=[\w+/]{86}==/g, "");
        const found = [...ERROR_WORDS, ...ADDRESSES].filter((word) => text.includes(word));
        expect([published.source, ...found]).toEqual([published.source]);
        expect(text.split(/[^\w.-]/)).not.toContain(hostname());
      }
      // What the connection is for is no part of what is told.
      for (const body of bodies(published)) expect(body).not.toMatch(/my_queue|my_topic_exchange|test-/);
    }
  });

  test("text the error's words are there as well, and no password in any of them", async () => {
    const all = await Promise.all(
      (["tls_failed", "management_failed"] as const).map((source) =>
        publish(source, { HEARTBEAT_DETAIL: "text" }),
      ),
    );
    expect(fieldsIn(all)).toEqual(documentedFields("text"));
    for (const published of all) expectDocumented(published, false);
    const [untrusted, repeating] = all.map((published) => bodies(published).join("\n"));
    expect(untrusted).toContain('"detail":"nothing listens at 127.0.0.1:1 (connection refused)"');
    expect(untrusted).toContain(`(issued by '${MARK}') is not from an authority`);
    expect(repeating).toContain(
      `"detail":"the management API answered 500: ${MARK}: {\\"authorization\\":\\"Basic (credentials)`,
    );
  });
});

test("a host without a name leaves by its address: check-config warns of it, and the service once, at its start", async () => {
  const path = temporaryFile("config.json", '{"heartbeat":{"hosts":[{"host":"127.0.0.1","port":1}]}}');
  const warning = "heartbeat.hosts[0]: has no name of its own, so its address leaves the site";
  const checked = await runCommand("publisher", ["check-config", path], {});
  expect(checked).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(warning) });
  const printed = await runCommand("publisher", ["print-heartbeat"], { PUBLISHER_CONFIG_PATH: path });
  expect(printed.stdout).toContain('"name":"127.0.0.1"');
  expect(printed.stderr.match(/"configuration warning"/g)).toHaveLength(1);
  expect(printed.stderr).toContain(warning);
});
