import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import {
  brokerSecrets,
  brokerSettings,
  brokerTopology,
  brokerVariables,
  clientCertificateCheck,
} from "../src/broker-config.ts";
import { count, decimal, type Env, flag, oneOf, parseConfig, port, seconds } from "../src/config.ts";

const options = { secrets: [...brokerSecrets], checks: [clientCertificateCheck] };
const NOBODY = 65_534;
const brokerSchema = z.object(brokerVariables);

function temporaryFile(content: string): string {
  const folder = mkdtempSync(join(tmpdir(), "config-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "secret");
  writeFileSync(path, content);
  return path;
}

function problems(schema: z.ZodType, env: Env): string {
  try {
    parseConfig(schema, env, options);
  } catch (error) {
    return String(error);
  }
  return "none";
}

describe("broker variables", () => {
  test("have upstream's defaults", () => {
    const env = parseConfig(brokerSchema, {}, options);
    expect(brokerSettings(env)).toEqual([
      { host: "localhost", amqpPort: 5672, user: "guest", password: "guest", vhost: "/", tls: undefined },
    ]);
    expect(env).toMatchObject({
      RABBITMQ_EXCHANGE: "my_topic_exchange",
      RABBITMQ_QUEUE: "my_queue",
      RABBITMQ_ROUTING_KEY: "service.heartbeat",
      RABBITMQ_DECLARE: "all",
    });
  });

  test("with TLS the TLS port counts, whatever RABBITMQ_PORT says, as the FEGA deployment has it", () => {
    const env = parseConfig(
      brokerSchema,
      { RABBITMQ_TLS: "True", RABBITMQ_PORT: "5671", RABBITMQ_HOST: "mq" },
      options,
    );
    expect(brokerSettings(env)).toMatchObject([{ amqpPort: 5671, tls: { serverName: "mq", ca: undefined } }]);
  });

  test("an empty routing key stands for the queue's name", () => {
    const routingKeyOf = (env: Env) =>
      brokerTopology(parseConfig(brokerSchema, env, options), "subscriber").routingKey;
    expect(routingKeyOf({ RABBITMQ_ROUTING_KEY: "", RABBITMQ_QUEUE: "heartbeats" })).toBe("heartbeats");
    expect(routingKeyOf({ RABBITMQ_ROUTING_KEY: "a.b", RABBITMQ_QUEUE: "heartbeats" })).toBe("a.b");
    expect(routingKeyOf({})).toBe("service.heartbeat");
  });

  test("the password may come from a file, less one newline at its end", () => {
    const env = parseConfig(brokerSchema, { RABBITMQ_PASS_FILE: temporaryFile("s3cret\n\n") }, options);
    expect(env.RABBITMQ_PASS).toBe("s3cret\n");
  });

  test("client certificate without its key is a problem", () => {
    const path = temporaryFile("pem");
    expect(problems(brokerSchema, { RABBITMQ_CLIENT_CERT_PATH: path })).toContain("set both or neither");
  });
});

describe("the addresses of the broker", () => {
  const addressesOf = (env: Env) => brokerSettings(parseConfig(brokerSchema, env, options));
  const placesOf = (env: Env) => addressesOf(env).map(({ host, amqpPort }) => `${host} ${amqpPort}`);

  test.each([
    { list: "mq", places: ["mq 5672"] },
    { list: "mq.example.", places: ["mq.example. 5672"] },
    { list: "10.0.0.7", places: ["10.0.0.7 5672"] },
    { list: "fd00::7", places: ["fd00::7 5672"] },
    { list: "fe80::1%eth0", places: ["fe80::1%eth0 5672"] },
    { list: "::1", places: ["::1 5672"] },
    { list: "[::1]", places: ["::1 5672"] },
    { list: "a,b", places: ["a 5672", "b 5672"] },
    { list: " a , b:1 ,\t[fd00::7]:2,fd00::8 ", places: ["a 5672", "b 1", "fd00::7 2", "fd00::8 5672"] },
    { list: "a,a", places: ["a 5672", "a 5672"] },
  ])("in $list are $places", ({ list, places }) => {
    expect(placesOf({ RABBITMQ_HOST: list })).toEqual(places);
  });

  test("have one port, unless they bring their own", () => {
    const env = { RABBITMQ_HOST: "a,b:1", RABBITMQ_PORT: "7", RABBITMQ_TLS_PORT: "8" };
    expect(placesOf(env)).toEqual(["a 7", "b 1"]);
    expect(placesOf({ ...env, RABBITMQ_TLS: "true" })).toEqual(["a 8", "b 1"]);
  });

  test("have each its own name for certificates, or all the one that is set", () => {
    const env = { RABBITMQ_HOST: "a,10.0.0.7:1", RABBITMQ_TLS: "true" };
    const namesOf = (env: Env) => addressesOf(env).map(({ tls }) => tls?.serverName);
    expect(namesOf(env)).toEqual(["a", "10.0.0.7"]);
    expect(namesOf({ ...env, RABBITMQ_SERVER_NAME: "mq.example" })).toEqual(["mq.example", "mq.example"]);
  });

  test.each([
    "",
    " ",
    "a,,b",
    "a,",
    ",a",
    ",",
    "a:0",
    "a:65536",
    "a:x",
    "a:",
    ":1",
    "a b",
    "[a]",
    "[::1",
    "amqp://a",
  ])("are not %j, told without its value", (list) => {
    const told = problems(brokerSchema, { RABBITMQ_HOST: list });
    expect(told).toMatch(/RABBITMQ_HOST: (is empty; )?expected a host or host:port, or several with commas/);
    if (list.length > 4) expect(told).not.toContain(list);
  });
});

describe("problems", () => {
  test("all of them are told at once, by name, never with a value", () => {
    const told = problems(brokerSchema, {
      RABBITMQ_HOST: "",
      RABBITMQ_PORT: "hunter2",
      RABBITMQ_TLS: "hunter2",
      RABBITMQ_PASS: "hunter2",
      RABBITMQ_PASS_FILE: "/nowhere/at/all",
      RABBITMQ_DECLARE: "hunter2",
      RABBITMQ_CA_CERT_PATH: "/nowhere/at/all",
    });
    for (const name of ["HOST", "PORT", "TLS", "PASS", "DECLARE", "CA_CERT_PATH"]) {
      expect(told).toContain(`RABBITMQ_${name}:`);
    }
    expect(told).not.toContain("hunter2");
  });

  test.each([
    { what: "an empty secret", env: { RABBITMQ_PASS: "" }, told: "RABBITMQ_PASS: is empty" },
    {
      what: "a secret and its file",
      env: { RABBITMQ_PASS: "a", RABBITMQ_PASS_FILE: "b" },
      told: "together with",
    },
    {
      what: "a missing secret file",
      env: { RABBITMQ_PASS_FILE: "/nowhere" },
      told: "/nowhere does not exist",
    },
    { what: "a folder as a file", env: { RABBITMQ_PASS_FILE: tmpdir() }, told: "is a directory" },
    {
      what: "a service link",
      env: { RABBITMQ_PORT: "tcp://10.0.0.7:5672" },
      told: "Kubernetes service link",
    },
  ])("$what is told as what it is", ({ env, told }) => {
    expect(problems(brokerSchema, env)).toContain(told);
  });

  test("an empty secret file is never taken for no secret", () => {
    expect(problems(brokerSchema, { RABBITMQ_PASS_FILE: temporaryFile("\n") })).toContain("is empty");
  });

  test("a file that may not be read is told with the user who tried", () => {
    const path = temporaryFile("secret");
    chmodSync(path, 0o000);
    chmodSync(dirname(path), 0o755);
    // To root every file is open.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(NOBODY);
    onTestFinished(() => void (isRoot && process.seteuid?.(0)));
    expect(problems(brokerSchema, { RABBITMQ_PASS_FILE: path })).toContain(`user id ${process.geteuid?.()}`);
  });
});

test.each([
  {
    kind: "port",
    type: port(1),
    good: { "1": 1, "65535": 65_535 },
    bad: ["0", "65536", "abc", "", " 1", "1.5", "-1"],
  },
  {
    kind: "seconds",
    type: seconds(1, 0.1, 60),
    good: { "0.25": 250, "60": 60_000 },
    bad: ["0", "61", "1e1", "1s", ""],
  },
  { kind: "decimal", type: decimal(1, 1, 10), good: { "2.5": 2.5 }, bad: ["0.5", "11", "NaN", ""] },
  { kind: "count", type: count(1, 1, 10), good: { "10": 10 }, bad: ["0", "11", "1.5", ""] },
  {
    kind: "flag",
    type: flag(false),
    good: { true: true, TRUE: true, False: false, "": false },
    bad: ["yes", "1"],
  },
  { kind: "choice", type: oneOf(["a", "b"], "a"), good: { b: "b" }, bad: ["c", "A", ""] },
])("$kind takes what is right and nothing else", ({ type, good, bad }) => {
  for (const [text, value] of Object.entries(good)) expect(type.parse(text), text).toBe(value);
  for (const text of bad) expect(type.safeParse(text).success, text).toBe(false);
});
