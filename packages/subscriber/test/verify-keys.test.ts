import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rawPublicKey, signer } from "@pipeline-heartbeat/shared/signature.ts";
import { describe, expect, onTestFinished, test } from "vitest";
import { readConfig } from "../src/config.ts";

const newPair = () => generateKeyPairSync("ed25519");
const pair = newPair();
const publicKey = rawPublicKey(pair.publicKey);
const body = Buffer.from("{}");

function problemsOf(env: Record<string, string>): string {
  try {
    readConfig(env);
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
  return "none";
}

/** For which of the sites the key speaks under this id. */
function spokenFor(list: string, id: string, sites = ["a", "b", "c"]): string[] {
  const { verify } = readConfig({ HEARTBEAT_VERIFY_KEYS: list });
  const verified = verify?.(body, signer(pair.privateKey, id)(body));
  return sites.filter((site) => verified?.ok && verified.speaksFor(site));
}

describe("verify keys", () => {
  test.each([
    { what: "one", list: `k@a=${publicKey}`, sites: ["a"] },
    { what: "one id for several sites", list: `k@a=${publicKey},k@c=${publicKey}`, sites: ["a", "c"] },
    { what: "any site", list: `k@*=${publicKey}`, sites: ["a", "b", "c"] },
    {
      what: "white space around commas",
      list: ` k@a=${publicKey} ,\r\n\tk@b=${publicKey}\n`,
      sites: ["a", "b"],
    },
    { what: "a line for each", list: `k@a=${publicKey}\nk@b=${publicKey}\n`, sites: ["a", "b"] },
    { what: "a comma at the end", list: `k@a=${publicKey},`, sites: ["a"] },
    { what: "the same twice", list: `k@a=${publicKey},k@a=${publicKey}`, sites: ["a"] },
    {
      what: "two keys of one id for one site, as in a roll-over",
      list: `k@a=${rawPublicKey(newPair().publicKey)},k@a=${publicKey}`,
      sites: ["a"],
    },
  ])("$what", ({ list, sites }) => {
    expect(spokenFor(list, "k")).toEqual(sites);
    expect(spokenFor(list, "other")).toEqual([]);
  });

  test("may come from a file", () => {
    const folder = mkdtempSync(join(tmpdir(), "verify-keys-test-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "keys");
    writeFileSync(path, `\nk@a=${publicKey},\nl@b=${publicKey}\n\n`);
    expect(readConfig({ HEARTBEAT_VERIFY_KEYS_FILE: path }).verify).toBeDefined();
  });
});

const der = pair.publicKey.export({ format: "der", type: "spki" }).toString("base64");
/** The points of small order less those that differ in the sign alone. */
const smallOrder = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].flatMap((hex) => {
  const negative = Buffer.from(hex, "hex");
  negative.writeUInt8(negative.readUInt8(31) | 0x80, 31);
  return [Buffer.from(hex, "hex").toString("base64"), negative.toString("base64")];
});

describe("a wrong verify key is told by its position, never with its value:", () => {
  test.each([
    { what: "no @", entry: `ksecret=${publicKey}`, told: "is not of the form id@site=key" },
    { what: "no =", entry: "ksecret@a", told: "is not of the form id@site=key" },
    { what: "two @", entry: `k@secret@a=${publicKey}`, told: "is not of the form id@site=key" },
    { what: "no id", entry: `@a=${publicKey}`, told: "has a wrong key id" },
    { what: "a wrong id", entry: `sécret@a=${publicKey}`, told: "has a wrong key id" },
    { what: "no site", entry: `k@=${publicKey}`, told: "has a wrong site" },
    { what: "a wrong site", entry: `k@secret*=${publicKey}`, told: "has a wrong site" },
    { what: "a site too long", entry: `k@${"a".repeat(65)}=${publicKey}`, told: "has a wrong site" },
    { what: "no key", entry: "k@secret=", told: "has a wrong key; expected the 32 bytes" },
    { what: "a short key", entry: `k@a=${publicKey.slice(4)}`, told: "has a wrong key" },
    { what: "a long key", entry: `k@a=${publicKey}AAAA`, told: "has a wrong key" },
    { what: "a key without its =", entry: `k@a=${publicKey.slice(0, -1)}`, told: "has a wrong key" },
    { what: "hexadecimal", entry: `k@a=${"ab".repeat(32)}`, told: "has a wrong key" },
    { what: "openssl's form", entry: `k@a=${der}`, told: "leave out MCowBQYDK2VwAyEA" },
    ...smallOrder.map((key, index) => ({
      what: `point ${index} of small order`,
      entry: `k@a=${key}`,
      told: "has a key for which everybody could sign",
    })),
  ])("$what", ({ entry, told }) => {
    const problems = problemsOf({ HEARTBEAT_VERIFY_KEYS: `k@a=${publicKey},${entry}` });
    expect(problems).toMatch(/^configuration error:\n {2}HEARTBEAT_VERIFY_KEYS: entry 2 of 2 [^\n]+$/);
    expect(problems).toContain(told);
    for (const part of ["secret", entry.split("=")[1] || "secret"]) expect(problems).not.toContain(part);
  });

  test("all of them at once", () => {
    const problems = problemsOf({ HEARTBEAT_VERIFY_KEYS: `a,k@a=${publicKey},b@b=c` });
    expect(problems.split("\n")).toHaveLength(3);
    expect(problems).toContain("entry 1 of 3");
    expect(problems).toContain("entry 3 of 3");
  });

  test.each(["", " ", ",", "\n"])("'%s' is never taken for no key", (list) => {
    expect(problemsOf({ HEARTBEAT_VERIFY_KEYS: list })).toMatch(/HEARTBEAT_VERIFY_KEYS: (is empty|holds no)/);
  });

  test("so many of one id that a forged message would take long", () => {
    const list = (count: number, id: (index: number) => string) =>
      Array.from({ length: count }, (_, at) => `${id(at)}@a=${rawPublicKey(newPair().publicKey)}`).join();
    expect(problemsOf({ HEARTBEAT_VERIFY_KEYS: list(33, () => "k") })).toContain(
      "more than 32 keys share an id",
    );
    expect(problemsOf({ HEARTBEAT_VERIFY_KEYS: list(32, () => "k") })).toBe("none");
    expect(problemsOf({ HEARTBEAT_VERIFY_KEYS: list(100, (index) => `k${index}`) })).toBe("none");
  });
});

describe("REQUIRE_SIGNATURE", () => {
  const keys = { HEARTBEAT_VERIFY_KEYS: `k@a=${publicKey}` };
  test.each([
    { what: "is true when there are keys", env: keys, accepts: false },
    { what: "may say so", env: { ...keys, REQUIRE_SIGNATURE: "True" }, accepts: false },
    { what: "counts as not set when it is empty", env: { ...keys, REQUIRE_SIGNATURE: "" }, accepts: false },
    { what: "may be false", env: { ...keys, REQUIRE_SIGNATURE: "false" }, accepts: true },
  ])("$what", ({ env, accepts }) => {
    expect(readConfig(env).verify?.(body, {}).ok).toBe(accepts);
  });

  test("is false without keys", () => {
    for (const env of [{}, { REQUIRE_SIGNATURE: "false" }, { REQUIRE_SIGNATURE: "" }]) {
      expect(readConfig(env)).toMatchObject({ verify: undefined, warnings: [] });
    }
  });

  test("cannot be true without keys", () => {
    for (const text of ["true", "TRUE"]) {
      expect(problemsOf({ REQUIRE_SIGNATURE: text })).toContain("REQUIRE_SIGNATURE: is true without");
    }
    const missing = problemsOf({ REQUIRE_SIGNATURE: "true", HEARTBEAT_VERIFY_KEYS_FILE: "/nowhere" });
    expect(missing.split("\n")).toEqual(["configuration error:", expect.stringContaining("/nowhere")]);
  });

  test("is warned about when it leaves the door open, or locks an expected site out", () => {
    expect(readConfig({ ...keys, REQUIRE_SIGNATURE: "false" }).warnings).toEqual([
      expect.stringContaining("REQUIRE_SIGNATURE: is false"),
    ]);
    expect(readConfig({ ...keys, EXPECTED_SITES: "a,b" }).warnings).toEqual([
      "HEARTBEAT_VERIFY_KEYS: no key speaks for site b of EXPECTED_SITES",
    ]);
    expect(readConfig({ HEARTBEAT_VERIFY_KEYS: `k@*=${publicKey}`, EXPECTED_SITES: "b" }).warnings).toEqual(
      [],
    );
  });
});
