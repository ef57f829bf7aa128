import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { fileURLToPath } from "node:url";
import { connect } from "amqplib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { silentPort } from "../packages/publisher/test/silent-port.ts";
import { decodeHeartbeat, type ReceivedHeartbeat } from "../packages/shared/src/decode.ts";
import packageJson from "../packages/publisher/package.json" with { type: "json" };
import { heardHeartbeats } from "./heard-heartbeats.ts";
import { freshEnvironment, runCommand, startBundle, temporaryFile } from "./processes.ts";

const EXAMPLE = fileURLToPath(new URL("../examples/fega-norway.publisher_config.json", import.meta.url));

const configFile = (heartbeat: object) => temporaryFile("config.json", JSON.stringify({ heartbeat }));

describe.each(["publisher", "subscriber"] as const)("the %s", (service) => {
  test("tells its name and version, and what it can do", async () => {
    const version = await runCommand(service, ["--version"], {});
    expect(version).toEqual({
      exitCode: 0,
      stdout: `@pipeline-heartbeat/${service} ${packageJson.version}\n`,
      stderr: "",
    });
    const help = await runCommand(service, ["--help"], {});
    expect(help).toMatchObject({ exitCode: 0, stderr: "" });
    expect(help.stdout).toContain("RABBITMQ_HOST");
    expect(help.stdout).toContain("HTTP_PORT");
  });

  test("ends with 64 when it does not understand", async () => {
    const { exitCode, stdout, stderr } = await runCommand(service, ["frobnicate"], {});
    expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: "" });
    expect(stderr).toMatch(/^frobnicate: .*--help.*\n$/);
  });
});

describe("check-config", () => {
  test("takes the file of FEGA-Norway and tells what would be watched", async () => {
    expect(await runCommand("publisher", ["check-config", EXAMPLE], {})).toEqual({
      exitCode: 0,
      stdout: `${EXAMPLE}: no problem; 2 hosts, 9 queues, 9 listeners would be watched\n`,
      stderr: "",
    });
  });

  test("tells every problem with its line and path, unknown and repeated keys included", async () => {
    const path = temporaryFile(
      "config.json",
      `{
  "_note": "a", "_note": "b", "$schema": "c",
  "heartbeat": {
    "hosts": [
      { "host": "db", "port": "hunter2", "name": "sda-db" },
      { "host": "doa", "prot": 8080, "port": 8080, "name": "sda-doa" }
    ],
    "rmq_consumers": [
      { "queue": "inbox", "listeners": [{ "tag": "(", "name": "a:b" }] }
    ],
    "rmq_consumers": [{ "queue": "" }]
  }
}`,
    );
    const { exitCode, stdout, stderr } = await runCommand("publisher", ["check-config", path], {});
    expect({ exitCode, stdout }).toEqual({ exitCode: 78, stdout: "" });
    expect(stderr.split("\n")).toEqual([
      `${path}:`,
      "  line 5, column 31: heartbeat.hosts[0].port: expected a port, 1 to 65535",
      "  line 6, column 24: heartbeat.hosts[1].prot: unknown key, ignored; did you mean 'port'?",
      "  line 11, column 5: heartbeat.rmq_consumers: repeats the key of line 8; only the last of them counts",
      "  line 11, column 34: heartbeat.rmq_consumers[0].queue: is empty",
      "",
    ]);
  });

  test.each([
    { what: "an unknown key", heartbeat: { hosts: [{ host: "a", port: 1, name: "a1", tag: 1 }] } },
    { what: "nothing to watch", heartbeat: {} },
  ])("$what is an error", async ({ heartbeat }) => {
    const { exitCode, stderr } = await runCommand("publisher", ["check-config", configFile(heartbeat)], {});
    expect(exitCode).toBe(78);
    expect(stderr).toMatch(/line 1, column \d+: heartbeat/);
  });

  test("a file that is no JSON is told with the place, and nothing of it is shown", async () => {
    const path = temporaryFile("config.json", '{\r\n  "heartbeat": {},\r\n  "password": hunter2\r\n}');
    const { exitCode, stderr } = await runCommand("publisher", ["check-config", path], {});
    expect({ exitCode, stderr }).toEqual({
      exitCode: 78,
      stderr: `${path}:\n  line 3, column 15: is not JSON: unexpected text\n`,
    });
  });

  test("reads stdin as -, with a byte order mark and Windows line ends", async () => {
    const windows = `\uFEFF${readFileSync(EXAMPLE, "utf8").replaceAll("\n", "\r\n")}`;
    const { exitCode, stdout } = await runCommand("publisher", ["check-config", "-"], {}, windows);
    expect({ exitCode, stdout }).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("stdin: no problem"),
    });
  });

  test("reads what the service would read when no file is named", async () => {
    const env = { PUBLISHER_CONFIG_PATH: EXAMPLE };
    expect(await runCommand("publisher", ["check-config"], env)).toMatchObject({ exitCode: 0 });
    const missing = await runCommand("publisher", ["check-config"], {});
    expect(missing).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining("/publisher_config.json does not exist"),
    });
  });

  test("takes one file at most", async () => {
    expect(await runCommand("publisher", ["check-config", "a", "b"], {})).toMatchObject({ exitCode: 64 });
  });
});

describe("print-heartbeat", () => {
  test.each(["1", "2"])(
    "prints the body that the service sends first in format %s, and sends nothing",
    async (format) => {
      const { amqpUrl, publisher } = await freshEnvironment();
      const heard = await heardHeartbeats(amqpUrl);
      const connection = await connect(amqpUrl);
      onTestFinished(() => connection.close());
      const channel = await connection.createChannel();
      await channel.assertQueue("ingest");
      await channel.consume("ingest", () => {}, { consumerTag: "ctag-sda-ingest-1" });
      const database = net.createServer((socket) => socket.end()).listen(0, "127.0.0.1");
      await once(database, "listening");
      onTestFinished(() => void database.close());
      const address = database.address();
      const port = typeof address === "object" && address ? address.port : 0;
      const env = {
        ...publisher,
        HEARTBEAT_FORMAT: format,
        HEARTBEAT_SITE: "tsd",
        PUBLISHER_CONFIG_PATH: configFile({
          hosts: [
            { host: "127.0.0.1", port, name: "sda-db" },
            { host: "127.0.0.1", port: 1, name: "sda-doa" },
          ],
          rmq_consumers: [{ queue: "ingest", listeners: [{ tag: "sda-ingest", name: "sda-ingest" }] }],
        }),
      };
      // The statistics know the worker only after some seconds.
      const printed = await vi.waitFor(
        async () => {
          const printed = await runCommand("publisher", ["print-heartbeat"], env);
          expect(printed.stdout).toContain('{"name":"sda-ingest","status":"ok"');
          return printed;
        },
        { timeout: 15_000, interval: 200 },
      );
      expect(printed.exitCode).toBe(0);
      await heard.caughtUp();
      expect(heard.messages).toEqual([]);

      startBundle("publisher", env);
      await vi.waitFor(() => expect(heard.messages.length).toBeGreaterThan(0), { timeout: 10_000 });
      expect(withoutTimes(printed.stdout)).toBe(withoutTimes(heard.messages[0]?.content.toString() ?? ""));
    },
  );

  test("counts consumers by passive declares where that is asked for, and declares nothing itself", async () => {
    const { amqpUrl, publisher } = await freshEnvironment();
    const connection = await connect(amqpUrl);
    onTestFinished(() => connection.close());
    const channel = await connection.createChannel();
    channel.on("error", () => {});
    await channel.assertQueue("ingest");
    await channel.consume("ingest", () => {});
    const env = {
      ...publisher,
      RABBITMQ_CONSUMER_SOURCE: "passive",
      PUBLISHER_CONFIG_PATH: configFile({
        rmq_consumers: [{ queue: "ingest", listeners: [{ tag: "a", name: "a" }] }],
      }),
    };
    const { stdout } = await runCommand("publisher", ["print-heartbeat"], env);
    const states = decoded(stdout).components.map(({ state, reason }) => `${state} ${reason}`);
    expect(states).toEqual(["up tag_unchecked", "up tag_unchecked"]);
    await expect(channel.checkExchange("my_topic_exchange")).rejects.toThrow("NOT_FOUND");
  });

  test("ends in time when nothing answers, and claims nothing", async () => {
    const port = await silentPort();
    const env = {
      RABBITMQ_HOST: "127.0.0.1",
      RABBITMQ_MANAGEMENT_PORT: String(port),
      PROBE_TIMEOUT: "1",
      PUBLISHER_CONFIG_PATH: configFile({
        hosts: [{ host: "127.0.0.1", port, name: "mute" }],
        rmq_consumers: [{ queue: "ingest", listeners: [{ tag: "a", name: "a" }] }],
      }),
    };
    const startedMs = performance.now();
    const { exitCode, stdout } = await runCommand("publisher", ["print-heartbeat"], env);
    expect(performance.now() - startedMs).toBeLessThan(2_000 + 1_000);
    expect(exitCode).toBe(0);
    const { sequence, components } = decoded(stdout);
    expect(sequence).toBe(1);
    expect(components.map(({ state, reason }) => `${state} ${reason}`)).toEqual(
      Array(3).fill("unknown unconfirmed"),
    );
  });

  test("keeps its log off the output, and tells there why a look failed", async () => {
    const config = configFile({ hosts: [{ host: "127.0.0.1", port: 1, name: "closed" }] });
    const env = { PUBLISHER_CONFIG_PATH: config, LOG_LEVEL: "debug" };
    const { stdout, stderr } = await runCommand("publisher", ["print-heartbeat"], env);
    expect(decoded(stdout).components).toHaveLength(1);
    expect(stderr).toContain("connection_refused");
  });

  test("with a wrong configuration ends with 78 and prints nothing", async () => {
    const env = { PUBLISHER_CONFIG_PATH: EXAMPLE, PROBE_TIMEOUT: "hunter2" };
    const { exitCode, stdout, stderr } = await runCommand("publisher", ["print-heartbeat"], env);
    expect({ exitCode, stdout }).toEqual({ exitCode: 78, stdout: "" });
    expect(stderr).toBe(
      "configuration error:\n  PROBE_TIMEOUT: expected a number of seconds from 0.1 to 600\n",
    );
  });
});

function decoded(body: string): ReceivedHeartbeat {
  const heartbeat = decodeHeartbeat(Buffer.from(body), Date.now());
  if (!heartbeat.ok) throw new Error(heartbeat.problem);
  return heartbeat.heartbeat;
}

/** A body without what differs from run to run. */
function withoutTimes(body: string): string {
  return body
    .replaceAll(/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z| UTC)/g, "TIME")
    .replaceAll(/"(uptimeMs|latencyMs)":[\d.]+/g, '"$1":0')
    .replace(/"bootId":"[^"]+"/, '"bootId":"ID"');
}
