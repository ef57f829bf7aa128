import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import { type Env, parseConfig } from "../src/config.ts";
import { certificateFile, keyPairCheck, privateKeyFile } from "../src/pem-file.ts";

const folder = mkdtempSync(join(tmpdir(), "pem-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

let authority: Authority;
let expired: Authority;
let client: Certificate;

beforeAll(() => {
  authority = createAuthority(folder, { name: "site-ca" });
  expired = createAuthority(folder, { name: "old-ca", validUntil: new Date("2026-01-02T03:04:05Z") });
  client = authority.issue({ name: "client" });
});

function file(name: string, ...contents: string[]): string {
  const path = join(folder, name);
  writeFileSync(path, contents.join("\n"));
  return path;
}

const schema = z.object({ CA: certificateFile(), CERT: certificateFile(), KEY: privateKeyFile() });
const parse = (env: Env) => parseConfig(schema, env, { secrets: [], checks: [keyPairCheck("CERT", "KEY")] });

function problems(env: Env): string[] {
  try {
    parse(env);
  } catch (error) {
    return String(error).split("\n").slice(1);
  }
  return [];
}

const read = (path: string) => readFileSync(path, "utf8");

describe("certificate files", () => {
  test("are read, and none of them is needed", () => {
    const bundle = file("bundle.pem", "# our authorities", read(expired.certPath), read(authority.certPath));
    const files = parse({ CA: bundle, CERT: client.certPath, KEY: client.keyPath });
    expect(files.CA).toMatchObject({ path: bundle });
    expect(files.CA?.read()).toBe(read(bundle));
    expect(files.CERT?.read()).toBe(read(client.certPath));
    expect(files.KEY?.read()).toBe(read(client.keyPath));
    expect(parse({ CA: "" })).toEqual({ CA: undefined, CERT: undefined, KEY: undefined });
  });

  test("of an encrypted key, of nonsense and of the wrong kind are told by name and path, never with content", () => {
    const encrypted = join(folder, "encrypted.key");
    const passphrase = ["-aes128", "-passout", "pass:hunter2"];
    execFileSync("openssl", [
      "pkcs8",
      "-topk8",
      "-in",
      client.keyPath,
      "-out",
      encrypted,
      ...passphrase.slice(1),
    ]);
    const traditional = join(folder, "traditional.key");
    execFileSync("openssl", ["ec", "-in", client.keyPath, "-out", traditional, ...passphrase], {
      stdio: "ignore",
    });
    const broken = (kind: string) =>
      file(`broken-${kind}`, `-----BEGIN ${kind}-----`, "aGVsbG8=", `-----END ${kind}-----`);
    const noise = file("noise.pem", "hunter2");
    const rows: { env: Env; told: string }[] = [
      { env: { CA: "/nowhere.pem" }, told: "CA: /nowhere.pem does not exist" },
      { env: { CA: folder }, told: `CA: ${folder} is a directory, not a file` },
      { env: { CA: noise }, told: `CA: ${noise} holds no certificate in PEM form` },
      {
        env: { CA: client.keyPath },
        told: `CA: ${client.keyPath} holds no certificate in PEM form; there is a private key in it`,
      },
      {
        env: { CA: broken("CERTIFICATE") },
        told: `CA: ${broken("CERTIFICATE")} holds a certificate that cannot be decoded`,
      },
      {
        env: { CERT: client.certPath, KEY: client.certPath },
        told: `KEY: ${client.certPath} holds no private key in PEM form; there is a certificate in it`,
      },
      {
        env: { CERT: client.certPath, KEY: broken("PRIVATE KEY") },
        told: `KEY: ${broken("PRIVATE KEY")} holds a private key that cannot be decoded`,
      },
      {
        env: { CERT: client.certPath, KEY: encrypted },
        told: `KEY: ${encrypted} holds an encrypted key; expected one without a passphrase`,
      },
      {
        env: { CERT: client.certPath, KEY: traditional },
        told: `KEY: ${traditional} holds an encrypted key; expected one without a passphrase`,
      },
      {
        env: { CERT: client.certPath, KEY: authority.keyPath },
        told: `KEY: ${authority.keyPath} does not belong to the certificate in ${client.certPath}`,
      },
      { env: { CERT: client.certPath }, told: "CERT, KEY: set both or neither" },
      { env: { KEY: client.keyPath, CERT: "" }, told: "CERT, KEY: set both or neither" },
    ];
    for (const { env, told } of rows) expect(problems(env)).toEqual([`  ${told}`]);
  });

  test("may have expired: that is told when a connection fails for it", () => {
    expect(problems({ CA: expired.certPath })).toEqual([]);
  });

  test("are read again when they were renewed, and stay what they were while they are unusable", () => {
    const path = file("renewed.pem", read(authority.certPath));
    const ca = parse({ CA: path }).CA;
    const renewed = createAuthority(folder, { name: "new-ca" });
    copyFileSync(renewed.certPath, path);
    expect(ca?.read()).toBe(read(renewed.certPath));
    writeFileSync(path, read(renewed.certPath).slice(0, 100));
    expect(ca?.read()).toBe(read(renewed.certPath));
    rmSync(path);
    expect(ca?.read()).toBe(read(renewed.certPath));
  });
});
