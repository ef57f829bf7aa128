import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rawPublicKey, verifier } from "@pipeline-heartbeat/shared/signature.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { heartbeatMessages } from "../src/messages.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
const secretPart = pem.split("\n")[1] ?? "";

function temporaryFile(name: string, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), "signing-key-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function configOf(env: Record<string, string>) {
  const heartbeat = { hosts: [{ host: "db", port: 1, name: "the-db" }] };
  const path = temporaryFile("publisher_config.json", JSON.stringify({ heartbeat }));
  return readConfig({ PUBLISHER_CONFIG_PATH: path, ...env });
}

function problemsOf(env: Record<string, string>): string {
  try {
    configOf(env);
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
  return "none";
}

/** The headers of the first message with this configuration, and whether they hold for its body. */
function firstMessage(env: Record<string, string>) {
  const next = heartbeatMessages({ ...configOf(env), targets: () => [] });
  const { body, properties } = next("interval");
  const keys = [{ id: env["HEARTBEAT_SIGNING_KEY_ID"] ?? "default", site: "*" }];
  const verify = verifier(
    keys.map((key) => ({ ...key, publicKey: rawPublicKey(publicKey) })),
    { isRequired: true },
  );
  return { headers: properties.headers, isVerified: verify(body, properties.headers).ok };
}

describe("the signing key", () => {
  test.each([
    { what: "as it is made", text: pem },
    { what: "with \\n in place of its lines' ends", text: pem.replaceAll("\n", "\\n") },
    { what: "with spaces in place of its lines' ends", text: pem.replaceAll("\n", " ") },
    { what: "with Windows lines' ends", text: pem.replaceAll("\n", "\r\n") },
    { what: "in quotes", text: `"${pem}"` },
    { what: "with the public line after it", text: `${pem}default@default=${rawPublicKey(publicKey)}\n` },
  ])("$what is taken and signs", ({ text }) => {
    expect(firstMessage({ HEARTBEAT_SIGNING_KEY: text }).isVerified).toBe(true);
  });

  test("may come from a file, and have an id of its own", () => {
    const env = {
      HEARTBEAT_SIGNING_KEY_FILE: temporaryFile("key.pem", pem),
      HEARTBEAT_SIGNING_KEY_ID: "tsd-2027",
    };
    expect(firstMessage(env)).toMatchObject({
      headers: { "x-heartbeat-key-id": "tsd-2027" },
      isVerified: true,
    });
    expect(configOf(env).warnings).toEqual([]);
  });

  test("is none without one, and an id alone is warned about", () => {
    expect(firstMessage({}).headers).toBeUndefined();
    expect(configOf({ HEARTBEAT_SIGNING_KEY_ID: "tsd" }).warnings).toEqual([
      "HEARTBEAT_SIGNING_KEY_ID: is set without HEARTBEAT_SIGNING_KEY: nothing is signed",
    ]);
  });
});

const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
const encrypted = { format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "hunter2" } as const;

describe("a wrong signing key is told as what it is, never with its value:", () => {
  test.each([
    { what: "garbage", text: "hunter2", told: "expected an Ed25519 private key in PEM form (PKCS#8)" },
    { what: "an empty one", text: "", told: "is empty" },
    { what: "a path", text: "/run/secrets/key.pem", told: "HEARTBEAT_SIGNING_KEY_FILE" },
    {
      what: "the public key",
      text: publicKey.export({ format: "pem", type: "spki" }).toString(),
      told: "public key",
    },
    { what: "an encrypted one", text: privateKey.export(encrypted).toString(), told: "encrypted" },
    {
      what: "another type",
      text: rsa.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
      told: "of the type rsa",
    },
    {
      what: "X25519",
      text: generateKeyPairSync("x25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
      told: "of the type x25519",
    },
    {
      what: "another form",
      text: rsa.privateKey.export({ format: "pem", type: "pkcs1" }).toString(),
      told: "of another form",
    },
    { what: "a broken one", text: pem.replace("MC4C", "AAAA"), told: "cannot be decoded" },
    { what: "one without its end", text: pem.slice(0, -10), told: "expected an Ed25519 private key" },
    { what: "two of them", text: pem + pem, told: "more than one private key" },
  ])("$what", ({ text, told }) => {
    const problems = problemsOf({ HEARTBEAT_SIGNING_KEY: text });
    expect(problems).toMatch(/^configuration error:\n {2}HEARTBEAT_SIGNING_KEY: [^\n]+$/);
    expect(problems).toContain(told);
    for (const part of ["hunter2", secretPart, "run/secrets"]) expect(problems).not.toContain(part);
  });

  test.each(["a@b", "a=b", "a,b", "a b", "", "ø", "k".repeat(65)])("the id '%s'", (id) => {
    const problems = problemsOf({ HEARTBEAT_SIGNING_KEY: pem, HEARTBEAT_SIGNING_KEY_ID: id });
    expect(problems).toContain("HEARTBEAT_SIGNING_KEY_ID: ");
    expect(problems).toContain("expected 1 to 64 of A-Z a-z 0-9 _ . -");
  });

  test("format 1, where it cannot be used, however it came", () => {
    const told = "HEARTBEAT_SIGNING_KEY: cannot be used with HEARTBEAT_FORMAT=1";
    expect(problemsOf({ HEARTBEAT_SIGNING_KEY: pem, HEARTBEAT_FORMAT: "1" })).toContain(told);
    const path = temporaryFile("key.pem", pem);
    expect(problemsOf({ HEARTBEAT_SIGNING_KEY_FILE: path, HEARTBEAT_FORMAT: "1" })).toContain(told);
  });
});
