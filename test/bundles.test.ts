import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { fileURLToPath } from "node:url";
import { connect } from "amqplib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { freePorts } from "./brokers/free-ports.ts";
import { expectHealth, freshEnvironment, startBundle, temporaryFile } from "./processes.ts";

describe("a stop", () => {
  test("ends both services with 0 within five seconds, also without broker and Redis", async () => {
    const unreachable = {
      RABBITMQ_HOST: "127.0.0.1",
      RABBITMQ_PORT: "1",
      REDIS_HOST: "127.0.0.1",
      REDIS_PORT: "1",
    };
    const config = { heartbeat: { hosts: [{ host: "127.0.0.1", port: 1, name: "closed" }] } };
    const [httpPort] = await freePorts(1);
    const publisher = startBundle("publisher", {
      ...unreachable,
      HTTP_PORT: "0",
      PUBLISHER_CONFIG_PATH: temporaryFile("publisher_config.json", JSON.stringify(config)),
    });
    const subscriber = startBundle("subscriber", {
      ...unreachable,
      HTTP_HOST: "127.0.0.1",
      HTTP_PORT: String(httpPort),
    });
    const health = await expectHealth(`http://127.0.0.1:${httpPort}`, 10_000, ({ code }) =>
      expect(code).toBe(503),
    );
    expect(health.problems).toEqual(["the state cannot be read from Redis: there is no connection"]);
    await expect.poll(() => publisher.printed(), { timeout: 10_000 }).toContain("broker unavailable");
    const startedMs = performance.now();
    for (const bundle of [publisher, subscriber]) {
      bundle.child.kill("SIGTERM");
      expect(await bundle.ended()).toBe(0);
      expect(bundle.printed().match(/broker unavailable/g)).toHaveLength(1);
    }
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });
});

describe("bad configuration ends with 78 and tells every problem at once, without a value", () => {
  test("of the publisher, the file included", async () => {
    const config = { heartbeat: { hosts: [{ host: "db", port: "hunter2", name: "a:b" }] } };
    const path = temporaryFile("publisher_config.json", JSON.stringify(config));
    const bundle = startBundle("publisher", {
      PUBLISHER_CONFIG_PATH: path,
      RABBITMQ_PORT: "hunter2",
      PROBE_TIMEOUT: "hunter2",
      HEARTBEAT_MODE: "subscriber",
    });
    expect(await bundle.ended()).toBe(78);
    const output = bundle.printed();
    expect(output.split("\n").toSorted()).toEqual(
      [
        "configuration error:",
        "  RABBITMQ_PORT: expected a port, 1 to 65535",
        "  HEARTBEAT_MODE: asks for the subscriber, this is the publisher: use the subscriber's image",
        `  PUBLISHER_CONFIG_PATH: ${path}: line 1, column 44: heartbeat.hosts[0].port: expected a port, 1 to 65535`,
        `  PUBLISHER_CONFIG_PATH: ${path}: line 1, column 61: heartbeat.hosts[0].name: must not have a ':'`,
        "  PROBE_TIMEOUT: expected a number of seconds from 0.1 to 600",
        "",
      ].toSorted(),
    );
  });

  test("of the publisher, where the file is missing", async () => {
    const bundle = startBundle("publisher", { PUBLISHER_CONFIG_PATH: "/nowhere.json" });
    expect(await bundle.ended()).toBe(78);
    const output = bundle.printed();
    expect(output).toContain("PUBLISHER_CONFIG_PATH: /nowhere.json does not exist");
  });

  test("of the subscriber", async () => {
    const bundle = startBundle("subscriber", {
      REDIS_PORT: "tcp://10.0.0.7:6379",
      SILENCE_FACTOR: "hunter2",
      API_TOKEN: "hunter2 ",
    });
    expect(await bundle.ended()).toBe(78);
    const output = bundle.printed();
    expect(output.trim().split("\n")).toHaveLength(4);
    expect(output).toContain("Kubernetes service link");
    expect(output).toContain("API_TOKEN: expected at most 4000 bytes of text without control characters");
    expect(output).not.toMatch(/hunter2|10\.0\.0\.7/);
  });
});

test("a port that is taken is a mistake in the configuration as well, told at once", async () => {
  const taken = net.createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  onTestFinished(() => void taken.close());
  const address = taken.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const { subscriber } = await freshEnvironment();
  const startedMs = performance.now();
  const bundle = startBundle("subscriber", { ...subscriber, HTTP_PORT: String(port) });
  expect(await bundle.ended()).toBe(78);
  expect(bundle.printed()).toContain(`HTTP_HOST, HTTP_PORT: cannot listen at 127.0.0.1:${port} (EADDRINUSE)`);
  expect(performance.now() - startedMs).toBeLessThan(4_000);
});

test("a Redis without the database asked for is told, and no other database is used", async () => {
  const { url, subscriber } = await freshEnvironment();
  const bundle = startBundle("subscriber", { ...subscriber, REDIS_DB: "100000" });
  await expect.poll(() => bundle.printed(), { timeout: 10_000 }).toContain("DB index is out of range");
  await expectHealth(url, 5_000, ({ code, problems }) => {
    expect(code).toBe(503);
    expect(problems).toEqual(["the state cannot be read from Redis: there is no connection"]);
  });
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
});

test("the bundles stay small while they work", async () => {
  const { url, amqpUrl, publisher, subscriber } = await freshEnvironment();
  const path = fileURLToPath(new URL("../examples/fega-norway.publisher_config.json", import.meta.url));
  // Sixty looks and heartbeats, as many as in ten minutes with the defaults.
  const [httpPort] = await freePorts(1);
  const hurry = {
    PUBLISHER_CONFIG_PATH: path,
    PROBE_INTERVAL: "0.2",
    PUBLISH_INTERVAL: "0.2",
    HTTP_PORT: String(httpPort),
  };
  const outside = startBundle("subscriber", subscriber);
  const inside = startBundle("publisher", { ...publisher, ...hurry });
  const connection = await connect(amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createChannel();
  let heartbeats = 0;
  await channel.assertExchange("my_topic_exchange", "topic");
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(queue, "my_topic_exchange", "service.heartbeat");
  await channel.consume(queue, () => (heartbeats += 1), { noAck: true });
  await vi.waitFor(() => expect(heartbeats).toBeGreaterThan(60), { timeout: 40_000, interval: 100 });
  await expectHealth(url, 5_000, ({ sites }) => expect(sites).toHaveLength(1));
  for (let asked = 0; asked < 20; asked += 1) {
    expect((await fetch(`http://127.0.0.1:${httpPort}/readyz`)).status).toBe(200);
  }
  expect(residentMegabytes(inside.child.pid)).toBeLessThan(90);
  expect(residentMegabytes(outside.child.pid)).toBeLessThan(110);
});

function residentMegabytes(pid: number | undefined): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) / 1024;
}
