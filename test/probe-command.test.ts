import { once } from "node:events";
import net from "node:net";
import { connect } from "amqplib";
import { expect, onTestFinished, test, vi } from "vitest";
import { silentPort } from "../packages/publisher/test/silent-port.ts";
import { heardHeartbeats } from "./heard-heartbeats.ts";
import { freshEnvironment, runCommand, temporaryFile } from "./processes.ts";

const configFile = (heartbeat: object) => temporaryFile("config.json", JSON.stringify({ heartbeat }));

async function openPort(): Promise<number> {
  const server = net.createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

const CLOSED = { host: "127.0.0.1", port: 1 };
/** Where nobody listens, for what needs no broker. */
const NO_BROKER = { RABBITMQ_HOST: "127.0.0.1", RABBITMQ_PORT: "1", RABBITMQ_MANAGEMENT_PORT: "1" };

test("shows what one look at each component saw, and sends nothing", async () => {
  const { amqpUrl, publisher } = await freshEnvironment();
  const heard = await heardHeartbeats(amqpUrl);
  const connection = await connect(amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createChannel();
  await channel.assertQueue("ingest");
  await channel.consume("ingest", () => {}, { consumerTag: "ctag-sda-ingest-1" });
  const path = configFile({
    hosts: [
      { host: "127.0.0.1", port: await openPort(), name: "db" },
      { ...CLOSED, name: "doa", dependsOn: "db" },
    ],
    rmq_consumers: [{ queue: "ingest", listeners: [{ tag: "sda-ingest", name: "ingest worker" }] }],
  });
  // The statistics know the worker only after some seconds.
  const { exitCode, stdout, stderr } = await vi.waitFor(
    async () => {
      const ended = await runCommand("publisher", ["probe", path], publisher);
      expect(ended.stdout).toMatch(/up +service +ingest worker/);
      return ended;
    },
    { timeout: 15_000, interval: 200 },
  );
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: "" });
  const inWords = stdout.replaceAll(/[\d.]+ ms/g, "N ms").replaceAll(/ {2,}/g, " | ");
  expect(inWords.split("\n")).toEqual([
    "STATE | KIND | NAME | PROBE | LATENCY | REASON | DETAIL",
    "up | service | db | tcp | N ms",
    "down | service | doa | tcp | N ms | connection_refused | nothing listens at 127.0.0.1:1 (connection refused)",
    "up | queue | ingest | consumers | N ms",
    "up | service | ingest worker | consumers | N ms",
    "",
  ]);
  await heard.caughtUp();
  expect(heard.messages).toEqual([]);
});

test("looks at one component alone where it is named, by its kind as well", async () => {
  const port = await openPort();
  const path = configFile({
    hosts: [
      { host: "127.0.0.1", port, name: "db" },
      { ...CLOSED, name: "doa" },
    ],
    rmq_consumers: [{ queue: "doa", listeners: [{ tag: "a", name: "worker" }] }],
  });
  const names = async (name: string) => {
    const { exitCode, stdout } = await runCommand("publisher", ["probe", path, name, "--json"], NO_BROKER);
    const seen: unknown = JSON.parse(stdout);
    return { exitCode, seen };
  };
  expect(await names("db")).toEqual({
    exitCode: 0,
    seen: [
      {
        kind: "service",
        name: "db",
        probe: "tcp",
        severity: "fail",
        state: "up",
        latencyMs: expect.any(Number),
      },
    ],
  });
  expect(await names("doa")).toMatchObject({
    exitCode: 1,
    seen: [
      { kind: "service", name: "doa", state: "down", reason: "connection_refused" },
      { kind: "queue", name: "doa", state: "unknown", reason: "management_unreachable" },
    ],
  });
  expect(await names("service:doa")).toMatchObject({ exitCode: 1, seen: [{ kind: "service" }] });
  expect(await names("worker")).toMatchObject({ exitCode: 2, seen: [{ name: "worker", state: "unknown" }] });
});

test("a name that the file does not have ends with 64 and tells some that it has", async () => {
  const hosts = Array.from({ length: 30 }, (_, index) => ({ ...CLOSED, name: `host-${index}` }));
  const ended = await runCommand("publisher", ["probe", configFile({ hosts }), "d\u001Bb"], NO_BROKER);
  expect(ended).toMatchObject({ exitCode: 64, stdout: "" });
  expect(ended.stderr).toMatch(
    /^probe: the file has no component 'd\\u\{1b\}b', but service:host-0, .*service:host-19 and 10 more /,
  );
});

test("ends in time when nothing answers, also where there is a broker to ask", async () => {
  const port = await silentPort();
  const env = {
    RABBITMQ_HOST: "127.0.0.1",
    RABBITMQ_PORT: String(port),
    RABBITMQ_MANAGEMENT_PORT: String(port),
    PROBE_TIMEOUT: "1",
    LOG_LEVEL: "silent",
    PUBLISHER_CONFIG_PATH: configFile({
      hosts: [{ host: "127.0.0.1", port, name: "mute" }],
      rmq_consumers: [{ queue: "ingest", listeners: [{ tag: "a", name: "a" }] }],
    }),
  };
  const startedMs = performance.now();
  const { exitCode, stdout, stderr } = await runCommand("publisher", ["probe", "--json"], env);
  expect(performance.now() - startedMs).toBeLessThan(2 * 1_000 + 2_500 + 1_000);
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject([
    { name: "mute", state: "down", reason: "timeout" },
    { name: "ingest", state: "unknown" },
    { name: "a", state: "unknown" },
  ]);
});

test("makes control characters harmless", async () => {
  const path = configFile({ hosts: [{ ...CLOSED, name: "a\u202Eb" }] });
  const { stdout } = await runCommand("publisher", ["probe", path], NO_BROKER);
  expect(stdout).toContain(String.raw`a\u{202e}b`);
  const json = await runCommand("publisher", ["probe", path, "--json"], NO_BROKER);
  expect(json.stdout).toContain(String.raw`a\u202eb`);
});

test.each([
  { what: "a wrong file", args: [configPath("{")], exitCode: 78 },
  { what: "no file", args: ["/nowhere"], exitCode: 78 },
  { what: "too many arguments", args: ["a", "b", "c"], exitCode: 64 },
  { what: "an unknown option", args: ["--verbose"], exitCode: 64 },
])("$what ends with $exitCode and prints nothing", async ({ args, exitCode }) => {
  const paths = args.map((arg) => (typeof arg === "string" ? arg : arg()));
  const ended = await runCommand("publisher", ["probe", ...paths], NO_BROKER);
  expect(ended).toMatchObject({ exitCode, stdout: "" });
});

function configPath(text: string) {
  return () => temporaryFile("config.json", text);
}

test("print-config prints JSON, and ends with 78 when the configuration is wrong", async () => {
  const PUBLISHER_CONFIG_PATH = configFile({ hosts: [{ ...CLOSED, name: "a" }] });
  const { exitCode, stdout, stderr } = await runCommand("publisher", ["print-config"], {
    PUBLISHER_CONFIG_PATH,
  });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject({
    environment: { PROBE_TIMEOUT: { value: 5, from: "default" } },
    file: { path: PUBLISHER_CONFIG_PATH, components: [{ kind: "service", name: "a" }] },
  });
  const wrong = await runCommand("publisher", ["print-config"], { PUBLISHER_CONFIG_PATH: "/nowhere" });
  expect(wrong).toMatchObject({ exitCode: 78, stdout: "" });
});
