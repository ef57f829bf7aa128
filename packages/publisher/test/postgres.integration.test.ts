import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type * as z from "zod";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import { type PostgresServer, startPostgres } from "../../../test/servers/postgres.ts";
import { postgres } from "../src/probes/postgres.ts";
import { lookWith } from "./look-with.ts";

const folder = mkdtempSync(join(tmpdir(), "postgres-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** With what SCRAM prepares: a space that is no ASCII, and a ligature. */
const PASSWORD = "geheim\u00A0\uFB01nd\u00EB";
const passwordFile = fileWith("password", PASSWORD);

const ACCESS = [
  "hostssl all certified 127.0.0.1/32 cert",
  "host all certified 127.0.0.1/32 reject",
  "host all trusted 127.0.0.1/32 trust",
  "host all clear 127.0.0.1/32 password",
  "host all old 127.0.0.1/32 md5",
  "host all refused 127.0.0.1/32 reject",
  "host all all 127.0.0.1/32 scram-sha-256",
];
const STATEMENTS = [
  `CREATE ROLE probe LOGIN PASSWORD '${PASSWORD}'`,
  "CREATE ROLE certified LOGIN",
  "CREATE ROLE trusted LOGIN",
  `CREATE ROLE clear LOGIN PASSWORD '${PASSWORD}'`,
  `CREATE ROLE crowded LOGIN PASSWORD '${PASSWORD}' CONNECTION LIMIT 0`,
  "SET password_encryption = md5",
  `CREATE ROLE old LOGIN PASSWORD '${PASSWORD}'`,
  "CREATE DATABASE probe OWNER probe",
];

const LONG_ANSWER = "SELECT repeat('x', 1000) FROM generate_series(1, 10000)";

let authority: Authority;
let stranger: Authority;
let certified: Certificate;
let server: PostgresServer;

beforeAll(async () => {
  authority = createAuthority(folder, { name: "site-ca" });
  stranger = createAuthority(folder, { name: "other-ca" });
  certified = authority.issue({ name: "certified" });
  const certificate = authority.issue({ name: "localhost", altNames: ["DNS:localhost"] });
  server = await startPostgres({
    access: ACCESS,
    statements: STATEMENTS,
    tls: { server: certificate, clientCa: authority },
  });
  return () => server.stop();
});

type Given = Omit<z.input<typeof postgres.options>, "host">;

/** What one look at it finds. */
async function look(given: Given, { port } = server, signal = AbortSignal.timeout(5_000)) {
  return await lookWith(postgres, { host: "localhost", port, ...given }, signal);
}

function fileWith(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, `${text}\n`);
  return path;
}

/** It is private to this test, which may stop it. */
async function ownServer(isStandby = false): Promise<PostgresServer> {
  const own = await startPostgres({ access: ACCESS, statements: STATEMENTS, isStandby });
  onTestFinished(() => own.stop());
  return own;
}

const probe = { user: "probe", passwordFile };

describe("a postgres", () => {
  test("that answers the query is up, with the time it took", async () => {
    expect(await look(probe)).toEqual({ state: "up", latencyMs: expect.any(Number) });
  });

  test.each([
    { what: "SCRAM", given: probe },
    { what: "MD5", given: { user: "old", passwordFile, database: "probe" } },
    { what: "no password", given: { user: "trusted", database: "probe" } },
    {
      what: "a query of its own",
      given: { ...probe, query: "SELECT count(*) FROM pg_class WHERE 'ë' <> ''" },
    },
    { what: "a query without rows", given: { ...probe, query: "SELECT 1 WHERE false" } },
    { what: "another database", given: { ...probe, database: "postgres" } },
  ])("is up by $what", async ({ given }) => {
    expect(await look(given)).toMatchObject({ state: "up" });
  });

  test.each([
    {
      what: "a wrong password",
      given: { user: "probe", passwordFile: fileWith("wrong", "wrong") },
      code: "28P01",
    },
    {
      what: "a wrong password by MD5",
      given: { user: "old", passwordFile: fileWith("wrong", "wrong") },
      code: "28P01",
    },
    { what: "an unknown user", given: { user: "nobody-knows", passwordFile }, code: "28P01" },
    { what: "a user who may not come from here", given: { user: "refused", passwordFile }, code: "28000" },
  ])("that refuses $what is down", async ({ given, code }) => {
    const seen = await look(given);
    expect(seen).toMatchObject({ state: "down", reason: "login_refused" });
    expect(seen.detail).toContain(code);
    expect(seen.detail).not.toContain("geheim");
  });

  test("that asks for a password where none is set is unknown: it may be well", async () => {
    expect(await look({ user: "probe" })).toMatchObject({ state: "unknown", reason: "login_refused" });
  });

  test("gets a password in clear text by TLS only", async () => {
    const given = { user: "clear", passwordFile, database: "probe" };
    expect(await look(given)).toMatchObject({ state: "unknown", reason: "login_refused" });
    const tls = { caFile: authority.certPath };
    expect(await look({ ...given, tls })).toMatchObject({ state: "up" });
  });

  test("whose password file is missing is unknown", async () => {
    const seen = await look({ user: "probe", passwordFile: join(folder, "missing") });
    expect(seen).toMatchObject({ state: "unknown", reason: "file_unreadable" });
  });

  test.each([
    { what: "has no such database", given: { ...probe, database: "nowhere" }, code: "3D000" },
    { what: "cannot run the query", given: { ...probe, query: "SELECT 1 FROM nowhere" }, code: "42P01" },
    {
      what: "is asked for two statements",
      given: { ...probe, query: "COMMIT; CREATE TABLE two ()" },
      code: "42601",
    },
  ])("that $what is down, with the server's words", async ({ given, code }) => {
    const seen = await look(given);
    expect(seen).toMatchObject({ state: "down", reason: "unexpected_answer" });
    expect(seen.detail).toContain(`${code}: `);
  });

  test("answers a comment with nothing that could be believed", async () => {
    const seen = await look({ ...probe, query: "-- nothing" });
    expect(seen).toMatchObject({ state: "down", reason: "unexpected_answer" });
  });

  test.each([
    "CREATE TABLE written ()",
    "DO $$ BEGIN SET TRANSACTION READ WRITE; CREATE TABLE written (); END $$",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "CREATE TEMPORARY SEQUENCE written",
  ])("is changed by no query: %s", async (query) => {
    // The database is this user's own.
    const seen = await look({ ...probe, query });
    expect(seen).toMatchObject({ state: "down", reason: "unexpected_answer" });
    expect(seen.detail).toMatch(/^(25006|25001|22023): /);
  });

  test("that answers at too great a length is down", async () => {
    expect(await look({ ...probe, query: LONG_ANSWER })).toMatchObject({
      state: "down",
      reason: "answer_too_large",
    });
  });

  test("whose query goes on is down when the signal says so, and gives the query up", async () => {
    const startedMs = performance.now();
    const query = "SELECT pg_sleep(50)";
    const seen = await look({ ...probe, query }, server, AbortSignal.timeout(500));
    expect(seen).toMatchObject({ state: "down", reason: "timeout" });
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    const left =
      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(50)' AND usename = 'probe'";
    await expect.poll(() => server.ask(left), { timeout: 5_000 }).toBe("0");
  });

  test("that has no connection left is down as not ready", async () => {
    const seen = await look({ user: "crowded", passwordFile, database: "probe" });
    expect(seen).toMatchObject({ state: "down", reason: "not_ready" });
    expect(seen.detail).toContain("53300");
  });

  test("has nothing to complain of in its log", async () => {
    const own = await ownServer();
    const atStart = (await own.log()).length;
    for (const given of [probe, { user: "old", passwordFile, database: "probe" }, {}]) {
      expect(await look(given, own)).toMatchObject({ state: "up" });
    }
    const news = async () => (await own.log()).slice(atStart).trim().split("\n");
    await expect.poll(async () => (await news()).filter((line) => line.includes("received"))).toHaveLength(3);
    expect((await news()).filter((line) => !/ LOG: {2}connection (received|auth)/.test(line))).toEqual([]);
  });

  test.each(["SELECT 1 FROM nowhere", LONG_ANSWER])("is taken leave of after %s, too", async (query) => {
    const own = await ownServer();
    expect(await look({ ...probe, query }, own)).toMatchObject({ state: "down" });
    const left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'probe'";
    await expect.poll(() => own.ask(left)).toBe("0");
    expect(await own.log()).toContain("connection authorized: user=probe");
    expect(await own.log()).not.toMatch(/unexpected EOF|reset by peer|could not/);
  });

  test("is asked for what is configured, whatever the environment says", async () => {
    for (const [name, value] of Object.entries({
      PGHOST: "nowhere.invalid",
      PGPORT: "1",
      PGUSER: "nobody-knows",
      PGDATABASE: "nowhere",
      PGPASSWORD: PASSWORD,
      PGOPTIONS: "-c nonsense=1 --nonsense",
      PGAPPNAME: "nonsense",
      PGREPLICATION: "database",
      PGCLIENT_ENCODING: "LATIN1",
      PGSSLMODE: "verify-full",
      PGSSLNEGOTIATION: "direct",
    })) {
      vi.stubEnv(name, value);
    }
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await look(probe)).toMatchObject({ state: "up" });
    expect(await look({ user: "probe" })).toMatchObject({ state: "unknown", reason: "login_refused" });
  });
});

describe("a postgres that is greeted without credentials", () => {
  test.each([
    { what: "asks for a password", access: "host all all 127.0.0.1/32 scram-sha-256" },
    { what: "trusts everybody, but knows no such user", access: "host all all 127.0.0.1/32 trust" },
    { what: "lets nobody in", access: "" },
  ])("is up when it $what", async ({ access }) => {
    const own = await startPostgres({ access: [access], statements: [] });
    onTestFinished(() => own.stop());
    expect(await look({}, own)).toMatchObject({ state: "up" });
    await expect.poll(() => own.log()).toContain("connection received");
    expect(await own.log()).not.toMatch(/unexpected EOF|could not|expected/);
  });

  test("and by TLS is up as well", async () => {
    expect(await look({ tls: { caFile: authority.certPath } })).toMatchObject({ state: "up" });
  });
});

describe.each([
  { how: "with credentials", given: probe },
  { how: "without credentials", given: {} },
])("a postgres that is asked $how", ({ given }) => {
  test("and is in recovery is down as not ready", async () => {
    const standby = await ownServer(true);
    const seen = await look(given, standby);
    expect(seen).toMatchObject({ state: "down", reason: "not_ready" });
    expect(seen.detail).toContain("57P03");
  });

  test("and is frozen is down when the signal says so", async () => {
    const own = await ownServer();
    process.kill(own.pid, "SIGSTOP");
    const startedMs = performance.now();
    const seen = await look(given, own, AbortSignal.timeout(300));
    expect(seen).toMatchObject({ state: "down", reason: "timeout" });
    expect(performance.now() - startedMs).toBeLessThan(1_300);
  });

  test("and is stopped is down", async () => {
    const own = await ownServer();
    expect(await look(given, own)).toMatchObject({ state: "up" });
    await own.stop();
    expect(await look(given, own)).toMatchObject({ state: "down", reason: "connection_refused" });
  });
});

describe("a postgres by TLS", () => {
  test("is up with a private authority", async () => {
    expect(await look({ ...probe, tls: { caFile: authority.certPath } })).toMatchObject({ state: "up" });
  });

  test.each([
    { what: "another authority", tls: () => ({ caFile: stranger.certPath }), words: "not from an authority" },
    { what: "the system's authorities", tls: () => true, words: "not from an authority" },
    {
      what: "another name",
      tls: () => ({ caFile: authority.certPath, serverName: "db.example" }),
      words: "is not for 'db.example'",
    },
  ])("is down with $what", async ({ tls, words }) => {
    const seen = await look({ ...probe, tls: tls() });
    expect(seen).toMatchObject({ state: "down", reason: "tls_failed" });
    expect(seen.detail).toContain(words);
  });

  test("is down when the server offers none: nothing is said without it", async () => {
    const own = await ownServer();
    const seen = await look({ ...probe, tls: { caFile: authority.certPath } }, own);
    expect(seen).toMatchObject({ state: "down", reason: "tls_failed", detail: "the server offers no TLS" });
  });

  test("lets in whoever shows a client certificate", async () => {
    const tls = { caFile: authority.certPath, certFile: certified.certPath, keyFile: certified.keyPath };
    const given = { user: "certified", database: "probe" };
    expect(await look({ ...given, tls })).toMatchObject({ state: "up" });
    const without = await look({ ...given, tls: { caFile: authority.certPath } });
    expect(without).toMatchObject({ state: "down", reason: "login_refused" });
    expect(await look(given)).toMatchObject({ state: "down", reason: "login_refused" });
  });

  test("whose file for TLS is missing is unknown", async () => {
    const seen = await look({ ...probe, tls: { caFile: join(folder, "missing.crt") } });
    expect(seen).toMatchObject({ state: "unknown", reason: "file_unreadable" });
  });
});
