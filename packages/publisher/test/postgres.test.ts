import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import type * as z from "zod";
import { postgres } from "../src/probes/postgres.ts";
import { lookWith } from "./look-with.ts";
import { silentPort } from "./silent-port.ts";

const folder = mkdtempSync(join(tmpdir(), "postgres-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const PASSWORD = "open-sesame";
const passwordFile = join(folder, "password");
writeFileSync(passwordFile, PASSWORD);

type Given = Omit<z.input<typeof postgres.options>, "host">;

const STRANGER: Given = {};
const USER: Given = { user: "probe", passwordFile };
const both = [
  { who: "a stranger", given: STRANGER },
  { who: "a user", given: USER },
];

/** What one look finds. */
async function look(port: number, given: Given, withinMs = 2_000) {
  return await lookWith(postgres, { host: "127.0.0.1", port, ...given }, AbortSignal.timeout(withinMs));
}

type Answer = (socket: net.Socket, said: Buffer, turn: number) => void;

/** Whatever it is told, it answers what it likes, or nothing. In the end no connection to it may be left. */
async function peer(answer: Answer): Promise<number> {
  const server = net.createServer((socket) => {
    let turn = 0;
    socket.on("error", () => {});
    socket.on("data", (said) => answer(socket, said, turn++));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(async () => {
    const connections = () =>
      new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
    await expect.poll(connections).toBe(0);
    server.close();
  });
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

/** Says these things one after the other, each in answer to something. */
function says(...answers: readonly (string | Buffer)[]): Answer {
  return (socket, _said, turn) => void (answers[turn] !== undefined && socket.write(answers[turn]));
}

async function drip(socket: net.Socket, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    socket.write(Buffer.from([byte]));
    await setImmediate();
  }
}

function message(type: string, ...parts: readonly (string | number)[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => {
      if (typeof part === "string") return Buffer.from(part);
      const number = Buffer.alloc(4);
      number.writeUInt32BE(part);
      return number;
    }),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32BE(4 + body.length);
  return Buffer.concat([Buffer.from(type), length, body]);
}

const refusal = (code: string, words: string) =>
  message("E", `SFATAL\0VFATAL\0C${code}\0M${words}\0Fpostgres.c\0L1\0\0`);
const login = (code: number, ...rest: readonly string[]) => message("R", code, ...rest);
const READY = message("Z", "I");
const LOGGED_IN = Buffer.concat([login(0), message("S", "a\0b\0"), message("K", 1, 2), READY]);
const BEGUN = Buffer.concat([message("C", "BEGIN\0"), message("C", "SET\0"), READY]);
const ROW = message("D", "\0\u0001", 1000, "x".repeat(1000));

describe.each(both)("what answers $who", ({ given }) => {
  test.each([
    { what: "rows", answer: ROW },
    { what: "HTTP", answer: "HTTP/1.1 400 Bad Request\r\n\r\n" },
    { what: "SSH", answer: "SSH-2.0-OpenSSH_9.2\r\n" },
    { what: "Redis", answer: "-ERR unknown command\r\n" },
    { what: "nothing but zeros", answer: Buffer.alloc(10_000) },
    { what: "a length that is none", answer: Buffer.from("R\0\0\0\u0003\0\0\0\0") },
    { what: "a login without its kind", answer: message("R") },
    { what: "an error without an end", answer: message("E", "SFATAL") },
    { what: "an error without anything", answer: message("E") },
    { what: "an error without a code", answer: message("E", "SFATAL\0Mno\0\0") },
    { what: "an error with too long a text", answer: refusal("57P03", "x".repeat(30_000)) },
    { what: "that it is ready, out of turn", answer: READY },
    { what: "that all is done, out of turn", answer: message("C", "SELECT 1\0") },
    { what: "a copy", answer: message("G", 0) },
  ])("with $what does not speak the protocol", async ({ answer }) => {
    const seen = await look(await peer(says(answer)), given);
    expect(seen).toMatchObject({ state: "down", reason: "protocol_error" });
  });

  test.each([
    { code: "57P03", words: "the database system is starting up" },
    { code: "57P01", words: "terminating connection due to administrator command" },
    { code: "53300", words: "sorry, too many clients already" },
    { code: "08P01", words: "pgbouncer cannot connect to server" },
    { code: "08P01", words: "server login has been failing, try again later (server_login_retry)" },
  ])("with $code is not ready: $words", async ({ code, words }) => {
    const seen = await look(await peer(says(refusal(code, words))), given);
    expect(seen).toMatchObject({ state: "down", reason: "not_ready", detail: `${code}: ${words}` });
  });

  test("with another error is down", async () => {
    const port = await peer(says(refusal("XX000", "out of\u001B[31m order ".repeat(100))));
    const seen = await look(port, given);
    expect(seen).toMatchObject({ state: "down", reason: "unexpected_answer" });
    expect(seen.detail).toMatch(/^XX000: out of\\u\{1b\}\[31m order/);
    expect(seen.detail?.length).toBeLessThan(300);
  });

  test.each([
    { what: "notices", one: message("N", "SNOTICE\0\0") },
    { what: "empty notices", one: message("N") },
  ])("with $what without an end is too large", async ({ one }) => {
    const flood = Buffer.concat(Array.from({ length: 100 }, () => one));
    const port = await peer((socket) => {
      const more = () => void (socket.destroyed || socket.write(flood, more));
      more();
    });
    expect(await look(port, given)).toMatchObject({ state: "down", reason: "answer_too_large" });
  });

  test("with nothing is down when the signal says so", async () => {
    const startedMs = performance.now();
    for (const port of [await silentPort(), await peer(() => {}), await peer(says("R\0"))]) {
      expect(await look(port, given, 300)).toMatchObject({ state: "down", reason: "timeout" });
    }
    expect(performance.now() - startedMs).toBeLessThan(2_500);
  });

  test.each([
    { how: "closes", end: (socket: net.Socket) => void socket.end() },
    { how: "resets", end: (socket: net.Socket) => void socket.resetAndDestroy() },
  ])("and $how the connection without an answer is down", async ({ end }) => {
    const seen = await look(await peer(end), given);
    expect(seen).toMatchObject({ state: "down", reason: "connection_reset" });
  });

  test.each([
    { what: "no TLS", answer: "N", reason: "tls_failed" },
    { what: "an old server's error", answer: "Ecould not fork\n\0", reason: "protocol_error" },
    { what: "SSH", answer: "SSH-2.0-OpenSSH_9.2\r\n", reason: "protocol_error" },
    {
      what: "more than was asked for",
      answer: Buffer.concat([Buffer.from("S"), LOGGED_IN]),
      reason: "protocol_error",
    },
  ])("the question for TLS with $what is down", async ({ answer, reason }) => {
    let turns = 0;
    const port = await peer((socket, said, turn) => {
      turns += 1;
      says(answer)(socket, said, turn);
    });
    expect(await look(port, { ...given, tls: true })).toMatchObject({ state: "down", reason });
    // No name and no password was sent in its place.
    expect(turns).toBe(1);
  });

  test("the question for TLS with yes, and then with something else, is down", async () => {
    const seen = await look(await peer(says("S", LOGGED_IN)), { ...given, tls: true });
    expect(seen).toMatchObject({ state: "down", reason: "tls_failed" });
  });

  test("the question for TLS with silence is down when the signal says so", async () => {
    for (const port of [await peer(() => {}), await peer(says("S"))]) {
      const seen = await look(port, { ...given, tls: true }, 300);
      expect(seen).toMatchObject({ state: "down", reason: "timeout" });
    }
  });
});

describe("what answers a stranger", () => {
  test.each([
    { what: "it needs no login", answer: login(0) },
    { what: "it wants a password", answer: login(3) },
    { what: "it wants MD5", answer: login(5, "salt") },
    { what: "it wants GSSAPI", answer: login(7) },
    { what: "it wants SCRAM", answer: login(10, "SCRAM-SHA-256\0\0") },
    { what: "there is no such user", answer: refusal("28000", 'role "x" does not exist') },
    { what: "nobody may come from there", answer: refusal("28000", "no pg_hba.conf entry") },
    { what: "it has a notice first", answer: Buffer.concat([message("N", "SNOTICE\0\0"), login(3)]) },
  ])("that $what is up", async ({ answer }) => {
    expect(await look(await peer(says(answer)), STRANGER)).toMatchObject({ state: "up" });
  });

  test.each([
    { code: "3D000", words: 'database "x" does not exist' },
    { code: "08P01", words: "no such database: x" },
    { code: "08P01", words: "no such user: x" },
  ])("with $code and '$words' is a pooler, and tells nothing of what is behind", async ({ code, words }) => {
    const seen = await look(await peer(says(refusal(code, words))), STRANGER);
    expect(seen).toMatchObject({ state: "unknown", reason: "unexpected_answer" });
  });

  test("byte by byte is understood", async () => {
    const port = await peer((socket) => void drip(socket, login(3)));
    expect(await look(port, STRANGER)).toMatchObject({ state: "up" });
  });

  test("with a kind of login that does not exist does not speak the protocol", async () => {
    const seen = await look(await peer(says(login(99))), STRANGER);
    expect(seen).toMatchObject({ state: "down", reason: "protocol_error" });
  });
});

describe("what answers a user", () => {
  const done = Buffer.concat([message("1"), message("2"), message("C", "SELECT 1\0"), READY]);
  const rolledBack = Buffer.concat([message("C", "ROLLBACK\0"), READY]);

  test("step by step is up", async () => {
    const port = await peer(says(LOGGED_IN, BEGUN, done, rolledBack));
    expect(await look(port, USER)).toMatchObject({ state: "up" });
  });

  test.each([
    { what: "with nothing done", answer: READY, reason: "unexpected_answer" },
    { what: "with a message of another turn", answer: login(0), reason: "protocol_error" },
    { what: "by asking for data", answer: message("G", 0), reason: "protocol_error" },
    {
      what: "of a pooler without such a database",
      answer: refusal("08P01", "no such database: x"),
      reason: "unexpected_answer",
    },
    { what: "by leaving", answer: refusal("57P01", "terminating connection"), reason: "not_ready" },
    { what: "that it took too long", answer: refusal("57014", "canceling statement"), reason: "timeout" },
  ])("the query $what is down", async ({ answer, reason }) => {
    const seen = await look(await peer(says(LOGGED_IN, BEGUN, answer)), USER);
    expect(seen).toMatchObject({ state: "down", reason });
  });

  test("the query with silence is down when the signal says so", async () => {
    const seen = await look(await peer(says(LOGGED_IN, BEGUN)), USER, 300);
    expect(seen).toMatchObject({ state: "down", reason: "timeout" });
  });

  test.each([
    { what: "rows without an end", answer: Buffer.concat(Array.from({ length: 2_000 }, () => ROW)) },
    { what: "a row without an end", answer: Buffer.from("D\u007F\u007F\u007F\u007F") },
  ])("the query with $what is too large", async ({ answer }) => {
    const seen = await look(await peer(says(LOGGED_IN, BEGUN, answer)), USER);
    expect(seen).toMatchObject({ state: "down", reason: "answer_too_large" });
  });

  test.each([
    { code: "28P01", words: 'password authentication failed for user "probe"' },
    { code: "28000", words: "no pg_hba.conf entry" },
    { code: "08P01", words: "no such user: probe" },
    { code: "08P01", words: "password authentication failed" },
    { code: "08P01", words: "SASL authentication failed" },
  ])("with $code and '$words' refuses the login", async ({ code, words }) => {
    const seen = await look(await peer(says(refusal(code, words))), USER);
    expect(seen).toMatchObject({ state: "down", reason: "login_refused", detail: `${code}: ${words}` });
  });

  test.each([
    { what: "a password in clear text", answer: login(3) },
    { what: "a login that is not known", answer: login(7) },
    { what: "a login that does not exist", answer: login(99) },
  ])("by asking for $what tells nothing", async ({ answer }) => {
    const said: Buffer[] = [];
    const port = await peer((socket, words, turn) => {
      said.push(words);
      says(answer)(socket, words, turn);
    });
    expect(await look(port, USER)).toMatchObject({ state: "unknown", reason: "login_refused" });
    expect(Buffer.concat(said).toString()).not.toContain(PASSWORD);
  });

  test("with the password in it is told without", async () => {
    const seen = await look(await peer(says(refusal("XX000", `what is ${PASSWORD}?`))), USER);
    expect(seen.detail).toBe("XX000: what is (password)?");
  });

  /** The middle of SCRAM, with the client's own nonce in it. */
  const challenge = (said: Buffer, iterations: number) =>
    login(11, `r=${/r=(.*)$/.exec(said.toString())?.[1]}x,s=c2FsdA==,i=${iterations}`);

  test.each([
    { what: "skips the last step", last: LOGGED_IN, iterations: 4096 },
    {
      what: "does not know the password",
      last: Buffer.concat([login(12, "v=AAAA"), LOGGED_IN]),
      iterations: 4096,
    },
    { what: "would have us compute for long", last: LOGGED_IN, iterations: 2_000_000_000 },
  ])("by SCRAM, and $what, is down", async ({ last, iterations }) => {
    const port = await peer((socket, said, turn) => {
      if (turn === 1) socket.write(challenge(said, iterations));
      else says(login(10, "SCRAM-SHA-256\0\0"), "", last, BEGUN, done, rolledBack)(socket, said, turn);
    });
    const seen = await look(port, USER);
    expect(seen).toMatchObject({ state: "down", reason: "protocol_error" });
  });

  test("with all of SCRAM at once is down", async () => {
    const all = [
      login(10, "SCRAM-SHA-256\0\0"),
      login(11, "r=x,s=c2FsdA==,i=1"),
      login(12, "v=AAAA"),
      LOGGED_IN,
    ];
    const seen = await look(await peer(says(Buffer.concat(all), BEGUN, done, rolledBack)), USER);
    expect(seen).toMatchObject({ state: "down", reason: "protocol_error" });
  });
});

describe("the options of a postgres", () => {
  test.each([
    { given: { passwordFile: "/run/secrets/db" }, path: "passwordFile" },
    { given: { database: "db" }, path: "database" },
    { given: { query: "SELECT 1" }, path: "query" },
    { given: { user: "a\0b" }, path: "user" },
    { given: { user: "a", query: "SELECT '\0'" }, path: "query" },
    { given: { user: "a", passwordFile: "relative" }, path: "passwordFile" },
    { given: { user: "a", password: "in the file" }, path: "" },
  ])("refuse $given", ({ given, path }) => {
    const { error } = postgres.options.safeParse({ host: "db", ...given });
    expect(error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
  });
});
