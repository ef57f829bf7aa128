import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { masked } from "../src/commands/masked.ts";
import { shownConfig } from "../src/commands/print-config.ts";
import { VARIABLE_NAMES } from "../src/config.ts";

function file(name: string, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), "print-config-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

const configFile = (heartbeat: object) => file("publisher_config.json", JSON.stringify({ heartbeat }));
const oneHost = () => configFile({ hosts: [{ host: "db", port: 5432, name: "db" }] });

describe("the environment", () => {
  test("is there with every variable, what counts for it, and where that is from", () => {
    const PUBLISHER_CONFIG_PATH = oneHost();
    const { environment } = shownConfig({
      PUBLISHER_CONFIG_PATH,
      RABBITMQ_HOST: "mq1,[::1]:5673",
      RABBITMQ_ROUTING_KEY: "",
      RABBITMQ_PASS_FILE: file("password", "hunter2"),
      PUBLISH_INTERVAL: "5",
      PROBE_TIMEOUT: "0.5",
      HEARTBEAT_FORMAT: "1",
      PUBLISH_ON_CHANGE: "",
    });
    expect(Object.keys(environment)).toEqual(VARIABLE_NAMES);
    expect(environment).toMatchObject({
      RABBITMQ_HOST: { value: "mq1,[::1]:5673", from: "environment" },
      RABBITMQ_PORT: { value: 5672, from: "default" },
      RABBITMQ_SERVER_NAME: { value: null, from: "default" },
      RABBITMQ_PASS: { value: "(set)", from: "file" },
      RABBITMQ_ROUTING_KEY: { value: "my_queue", from: "environment" },
      RABBITMQ_MANAGEMENT_URL: { value: "http://mq1:15672,http://[::1]:15672", from: "default" },
      HEARTBEAT_FORMAT: { value: "1", from: "environment" },
      HEARTBEAT_SIGNING_KEY: { value: "(not set)", from: "default" },
      BUFFER_HEARTBEATS: { value: 0, from: "default" },
      PUBLISH_INTERVAL: { value: 5, from: "environment" },
      PUBLISH_ON_CHANGE: { value: true, from: "default" },
      PROBE_INTERVAL: { value: 5, from: "default" },
      PROBE_TIMEOUT: { value: 0.5, from: "environment" },
      PUBLISHER_CONFIG_PATH: { value: PUBLISHER_CONFIG_PATH, from: "environment" },
    });
  });

  test("has no secret in it", () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const HEARTBEAT_SIGNING_KEY = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    const { d = "" } = privateKey.export({ format: "jwk" });
    const shown = shownConfig({
      PUBLISHER_CONFIG_PATH: oneHost(),
      RABBITMQ_PASS: "hunter2",
      HEARTBEAT_SIGNING_KEY,
    });
    expect(shown.environment).toMatchObject({
      RABBITMQ_PASS: { value: "(set)", from: "environment" },
      HEARTBEAT_SIGNING_KEY: { value: "(set)", from: "environment" },
    });
    const text = JSON.stringify(shown);
    expect(text).not.toContain("hunter2");
    expect(text).not.toContain(Buffer.from(d, "base64url").toString("base64").slice(0, 40));
    expect(text).not.toContain("PRIVATE");
  });
});

test("the file is there with each component, its options as they are written, and the policy in force in seconds", () => {
  const PUBLISHER_CONFIG_PATH = configFile({
    defaults: { interval: 30, recover: { looks: 3 } },
    hosts: [{ host: "db.example", port: "5432", name: "db", timeout: 2 }],
    components: [
      {
        _note: "why",
        name: "web",
        probe: "tcp",
        host: "web.example",
        port: 443,
        tls: { serverName: "www" },
        dependsOn: "db",
        severity: "warn",
        flapping: false,
      },
    ],
    rmq_consumers: [{ queue: "inbox", listeners: [{ tag: "^a", name: "worker" }] }],
  });
  const { file, warnings } = shownConfig({ PUBLISHER_CONFIG_PATH });
  expect(file.path).toBe(PUBLISHER_CONFIG_PATH);
  expect(warnings).toEqual([]);
  const policy = {
    interval: 30,
    timeout: 5,
    splay: 30,
    confirm: { looks: 2, pause: 1 },
    recover: { looks: 3 },
    flapping: { changes: 10, looks: 20, calm: 4 },
    severity: "fail",
    dependsOn: [],
  };
  const asked = { ...policy, confirm: { looks: 2, pause: 9 } };
  expect(JSON.parse(JSON.stringify(file.components))).toEqual([
    {
      kind: "service",
      name: "db",
      probe: "tcp",
      options: { host: "db.example", port: 5432 },
      policy: { ...policy, timeout: 2 },
    },
    {
      kind: "service",
      name: "web",
      probe: "tcp",
      options: { host: "web.example", port: 443, tls: { serverName: "www" } },
      policy: { ...policy, severity: "warn", flapping: false, dependsOn: ["service:db"] },
    },
    { kind: "queue", name: "inbox", probe: "consumers", options: {}, policy: asked },
    {
      kind: "service",
      name: "worker",
      probe: "consumers",
      options: { queue: "inbox", tag: "^a", min: 1 },
      policy: asked,
    },
  ]);
});

test("a wrong configuration is told as at the start of the service", () => {
  expect(() => shownConfig({ PUBLISHER_CONFIG_PATH: "/nowhere", PROBE_TIMEOUT: "hunter2" })).toThrow(
    /PUBLISHER_CONFIG_PATH: \/nowhere does not exist\n.*PROBE_TIMEOUT: expected a number/,
  );
});

describe("of the options", () => {
  test.each([
    { what: "a password", given: { password: "hunter2" }, shown: { password: "(set)" } },
    { what: "a number", given: { apiToken: 42 }, shown: { apiToken: "(set)" } },
    {
      what: "header values",
      given: { headers: { accept: "hunter2", "x-file": ["hunter2"] } },
      shown: { headers: { accept: "(set)", "x-file": ["(set)"] } },
    },
    {
      what: "what is deep inside",
      given: { a: [{ secretOfAll: { path: "hunter2" } }] },
      shown: { a: [{ secretOfAll: { path: "(set)" } }] },
    },
    {
      what: "a URL's user, password, query and fragment",
      given: { url: "https://me:hunter2/@web@host:1/a?hunter2&b=hunter2#hunter2" },
      shown: { url: "https://***@host:1/a?***&b=***#***" },
    },
    { what: "a path's query", given: { path: "/a?b=hunter2" }, shown: { path: "/a?b=***" } },
    { what: "a note", given: { _note: "hunter2" }, shown: {} },
  ])("$what is not shown", ({ given, shown }) => {
    expect(masked(given)).toEqual(shown);
  });

  test.each([
    { passwordFile: "/run/secrets/a", tls: { keyFile: "/b" } },
    { headerFiles: { authorization: "/run/secrets/token" } },
    { url: "https://host:1/a", port: 1, isStrict: false, nothing: null, list: ["a", 1] },
    { json: { path: "items[0].state", value: "ok" }, bodyPattern: "a?b=c#d" },
  ])("%j is shown as it is", (given) => {
    expect(masked(given)).toEqual(given);
  });
});
