import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import { strictTlsServer } from "../../../test/strict-tls-server.ts";
import { tls } from "../src/probes/tls.ts";
import { listeningPort } from "./listening-port.ts";
import { soon, startProbe } from "./start-probe.ts";
import { tlsPort } from "./tls-port.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const here = ["DNS:localhost", "IP:127.0.0.1"];
const folder = mkdtempSync(join(tmpdir(), "tls-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

let authority: Authority;
let stranger: Authority;
let server: Certificate;

beforeAll(() => {
  authority = createAuthority(folder, { name: "site-ca" });
  stranger = createAuthority(folder, { name: "other-ca" });
  server = issued(authority, "server", 10);
});

const inDays = (days: number) => new Date(Date.now() + days * DAY_MS);
/** What remains of so many whole days a moment after the certificate was made, in hundredths. */
const nearly = (days: number) => expect.closeTo(days, 1);

function issued(by: Authority, name: string, days: number): Certificate {
  const validFrom = days < 0 ? inDays(days - 1) : undefined;
  return by.issue({ name, altNames: here, validUntil: inDays(days), ...(validFrom && { validFrom }) });
}

interface Asked {
  readonly days?: number;
  readonly caFile?: string;
  readonly now?: () => number;
}

async function lookAt(certificate: Certificate, { days, caFile = authority.certPath, now }: Asked = {}) {
  const options = { host: "127.0.0.1", port: await tlsPort(certificate), tls: { caFile } };
  const look = startProbe(tls, { ...options, ...(days !== undefined && { days }) }, { ...(now && { now }) });
  return await look(soon());
}

describe("a certificate that is good", () => {
  test.each([
    { days: 9, seen: { state: "up" } },
    { days: 11, seen: { state: "down", reason: "certificate_expires_soon" } },
    { days: undefined, seen: { state: "down", reason: "certificate_expires_soon" } },
  ])("for 10 days is $seen.state where $days are asked for", async ({ days, seen }) => {
    const values = { certificate_days_left: nearly(10) };
    expect(await lookAt(server, days === undefined ? {} : { days })).toMatchObject({ ...seen, values });
  });

  test("is told with its name and its last day, when that is near", async () => {
    const { detail } = await lookAt(server);
    expect(detail).toMatch(/^'server' expires at \d{4}-\d\d-\d\dT/);
  });

  test("is judged by the probe's clock", async () => {
    const later = (days: number) => ({ days: 5, now: () => Date.now() + days * DAY_MS });
    expect(await lookAt(server, later(4))).toMatchObject({
      state: "up",
      values: { certificate_days_left: nearly(6) },
    });
    expect(await lookAt(server, later(6))).toMatchObject({ reason: "certificate_expires_soon" });
    expect(await lookAt(server, later(12))).toMatchObject({
      state: "down",
      reason: "certificate_expired",
      values: { certificate_days_left: nearly(-2) },
    });
  });

  test("is not good enough with an intermediate one that is about to expire", async () => {
    const between = authority.issueAuthority({ name: "intermediate-ca", validUntil: inDays(3) });
    const seen = await lookAt(issued(between, "long-lived", 300));
    expect(seen).toMatchObject({
      state: "down",
      reason: "certificate_expires_soon",
      detail: expect.stringContaining("intermediate-ca"),
      values: { certificate_days_left: nearly(3) },
    });
  });

  test("is up beside an authority that is about to expire, shown or not: that is ours to see to", async () => {
    const old = createAuthority(folder, { name: "old-ca", validUntil: inDays(3) });
    const certificate = issued(old, "of-old-ca", 300);
    const up = { state: "up", values: { certificate_days_left: nearly(300) } };
    expect(await lookAt(certificate, { caFile: old.certPath })).toMatchObject(up);
    appendFileSync(certificate.certPath, readFileSync(old.certPath));
    expect(await lookAt(certificate, { caFile: old.certPath })).toMatchObject(up);
  });

  test("is up beside an expired way to an older authority, which nobody needs", async () => {
    const old = createAuthority(folder, { name: "older-ca" });
    const crossed = join(folder, "crossed-authority.crt");
    const signer = ["-keyfile", old.keyPath, "-cert", old.certPath];
    const dates = ["-startdate", "20190101000000Z", "-enddate", "20240101000000Z"];
    const files = ["-in", `${authority.certPath}.request`, "-out", crossed];
    execFileSync(
      "openssl",
      ["ca", "-batch", "-notext", "-config", "openssl.cnf", ...signer, ...dates, ...files],
      { cwd: join(folder, "older-ca"), stdio: "ignore" },
    );
    const own = issued(authority, "crossed", 30);
    appendFileSync(own.certPath, readFileSync(crossed));
    expect(await lookAt(own)).toMatchObject({ state: "up", values: { certificate_days_left: nearly(30) } });
  });

  test("counts even if it is its own authority", async () => {
    const own = { certPath: join(folder, "own.crt"), keyPath: join(folder, "own.key") };
    const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(" ");
    const files = ["-out", own.certPath, "-keyout", own.keyPath];
    const subject = ["-subj", "/CN=own", "-addext", `subjectAltName=${here.join(",")}`, "-days", "3"];
    execFileSync("openssl", ["req", "-x509", ...key, ...files, ...subject], { stdio: "pipe" });
    const seen = await lookAt(own, { caFile: own.certPath });
    expect(seen).toMatchObject({
      reason: "certificate_expires_soon",
      values: { certificate_days_left: nearly(3) },
    });
  });
});

describe("a certificate that has expired is down, with how long ago", () => {
  test("the server's own", async () => {
    expect(await lookAt(issued(authority, "expired", -2))).toMatchObject({
      state: "down",
      reason: "certificate_expired",
      detail: expect.stringContaining("expired at"),
      values: { certificate_days_left: nearly(-2) },
    });
  });

  test("an intermediate one", async () => {
    const validity = { validFrom: inDays(-9), validUntil: inDays(-4) };
    const between = authority.issueAuthority({ name: "expired-ca", ...validity });
    expect(await lookAt(issued(between, "under-expired", 300))).toMatchObject({
      reason: "certificate_expired",
      detail: expect.stringContaining("expired-ca"),
      values: { certificate_days_left: nearly(-4) },
    });
  });
});

describe("down without a value is", () => {
  test("a certificate of another authority, however long it is valid", async () => {
    const seen = await lookAt(issued(authority, "unknown", 300), { caFile: stranger.certPath });
    expect(seen).toMatchObject({ state: "down", reason: "tls_failed" });
    expect(seen.values).toBeUndefined();
  });

  test("a certificate for another name", async () => {
    const port = await tlsPort(server);
    const details = { caFile: authority.certPath, serverName: "other.example" };
    const seen = await startProbe(tls, { host: "127.0.0.1", port, days: 0, tls: details })(soon());
    expect(seen).toMatchObject({ state: "down", reason: "tls_failed" });
  });

  test.each(["tls1_2", "tls1_3"] as const)("a server that refuses the client, %s", async (version) => {
    const client = authority.issue({ name: `client-${version}` });
    const port = await strictTlsServer(server, authority, version);
    const look = (own: { certFile?: string; keyFile?: string }) =>
      startProbe(tls, {
        host: "127.0.0.1",
        port,
        days: 5,
        tls: { caFile: authority.certPath, ...own },
      })(soon());
    expect(await look({})).toMatchObject({ state: "down", reason: "tls_failed" });
    const own = { certFile: client.certPath, keyFile: client.keyPath };
    expect(await look(own)).toMatchObject({ state: "up", values: { certificate_days_left: nearly(10) } });
  });

  test.each([
    { what: "a port that speaks something else", say: "220 hello\r\n", reason: "tls_failed" },
    { what: "a port that says nothing", say: "", reason: "timeout" },
  ])("$what", async ({ say, reason }) => {
    const peer = net.createServer((socket) => void socket.on("error", () => {}).write(say));
    const port = await listeningPort(peer);
    const startedMs = performance.now();
    const seen = await startProbe(tls, { host: "127.0.0.1", port })(AbortSignal.timeout(500));
    expect(seen).toMatchObject({ state: "down", reason });
    expect(performance.now() - startedMs).toBeLessThan(1_500);
  });
});

test("a file that cannot be read tells nothing of the server", async () => {
  const seen = await lookAt(server, { caFile: join(folder, "missing.crt") });
  expect(seen).toMatchObject({ state: "unknown", reason: "file_unreadable" });
});

test("port 443 and 14 days are what is meant where nothing is said", () => {
  expect(tls.options.parse({ host: "web.example" })).toEqual({ host: "web.example", port: 443, days: 14 });
});
