import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { redis } from "../src/probes/redis.ts";
import { lookWith } from "./look-with.ts";
import { flood, rawPeer } from "./raw-peer.ts";
import { silentPort } from "./silent-port.ts";

const host = "127.0.0.1";
const PING = "*1\r\n$4\r\nPING\r\n";

/** A peer that answers each command with the next of these lines. */
function answering(...lines: readonly string[]) {
  return (socket: Socket) => {
    const rest = [...lines];
    socket.on("data", () => socket.write(rest.shift() ?? ""));
  };
}

function secretFile(secret: string): string {
  const folder = mkdtempSync(join(tmpdir(), "redis-probe-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "password");
  writeFileSync(path, secret);
  return path;
}

test("is up when PING is answered, asks nothing else, and leaves no connection behind", async () => {
  let heard = "";
  const peer = await rawPeer((socket) => {
    socket.on("data", (data) => {
      heard += data.toString();
      if (heard === PING) socket.write("+PONG\r\n");
    });
  });
  const seen = await lookWith(redis, { host, port: peer.port });
  expect(seen).toMatchObject({ state: "up", latencyMs: expect.any(Number) });
  await vi.waitFor(() => expect(peer.connections()).toBe(0));
  expect(heard).toBe(PING);
});

test("is up when the answer comes byte by byte", async () => {
  const { port } = await rawPeer((socket) => {
    const bytes = "+PONG\r\n".split("");
    socket.setNoDelay();
    const next = () => void (bytes.length > 0 && socket.write(bytes.shift() ?? "", () => setImmediate(next)));
    socket.once("data", next);
  });
  expect(await lookWith(redis, { host, port })).toMatchObject({ state: "up" });
});

test("logs in first, with the user and whatever bytes the password has", async () => {
  const password = "p$4 \t'%*ä\\";
  let heard = "";
  const { port } = await rawPeer((socket) => {
    const answers = ["+OK\r\n", "+PONG\r\n"];
    socket.on("data", (data) => {
      heard += data.toString();
      socket.write(answers.shift() ?? "");
    });
  });
  const options = { host, port, user: "heart", passwordFile: secretFile(`${password}\n`) };
  expect(await lookWith(redis, options)).toMatchObject({ state: "up" });
  const length = Buffer.byteLength(password);
  expect(heard).toBe(`*3\r\n$4\r\nAUTH\r\n$5\r\nheart\r\n$${length}\r\n${password}\r\n${PING}`);
});

const denied = `-DENIED Redis is running in protected mode ${"and tells how to change that ".repeat(35)}\r\n`;

test.each([
  { line: "-NOAUTH Authentication required.\r\n", state: "unknown", reason: "login_refused" },
  { line: "-NOPERM this user has no permissions\r\n", state: "unknown", reason: "login_refused" },
  { line: denied, state: "down", reason: "login_refused" },
  { line: "-LOADING Redis is loading the dataset in memory\r\n", state: "down", reason: "not_ready" },
  { line: "-MASTERDOWN Link with MASTER is down\r\n", state: "down", reason: "not_ready" },
  { line: "-BUSY Redis is busy running a script.\r\n", state: "down", reason: "not_ready" },
  { line: "-MISCONF Errors writing to the AOF file\r\n", state: "down", reason: "not_ready" },
  { line: "-ERR max number of clients reached\r\n", state: "down", reason: "not_ready" },
  { line: "-ERR unknown command\r\n", state: "down", reason: "unexpected_answer" },
  { line: "-BUSYKEY Target key name already exists.\r\n", state: "down", reason: "unexpected_answer" },
  { line: "-\r\n", state: "down", reason: "unexpected_answer" },
  { line: "+pong\r\n", state: "down", reason: "unexpected_answer" },
  { line: "+PONG \r\n", state: "down", reason: "unexpected_answer" },
  { line: "+OK\r\n+PONG\r\n", state: "down", reason: "unexpected_answer" },
  { line: "$4\r\nPONG\r\n", state: "down", reason: "protocol_error" },
  { line: "PONG\r\n", state: "down", reason: "protocol_error" },
  { line: "\r\n+PONG\r\n", state: "down", reason: "protocol_error" },
  { line: "HTTP/1.1 400 Bad Request\r\n\r\n", state: "down", reason: "protocol_error" },
  { line: "\0\u0001\uFFFF", state: "down", reason: "protocol_error" },
  { line: `+${"a".repeat(5_000)}\r\n`, state: "down", reason: "protocol_error" },
])("is $state $reason when PING is answered with $line", async ({ line, state, reason }) => {
  const { port } = await rawPeer(answering(line));
  expect(await lookWith(redis, { host, port })).toMatchObject({ state, reason });
});

test.each([
  {
    line: "-WRONGPASS invalid username-password pair or user is disabled.",
    state: "down",
    reason: "login_refused",
  },
  { line: "-ERR invalid password", state: "down", reason: "login_refused" },
  {
    line: "-ERR AUTH <password> called without any password configured for the default user.",
    state: "unknown",
    reason: "login_refused",
  },
  { line: "-ERR Client sent AUTH, but no password is set", state: "unknown", reason: "login_refused" },
  { line: "-ERR wrong number of arguments for 'auth' command", state: "unknown", reason: "login_refused" },
  { line: "+PONG", state: "down", reason: "unexpected_answer" },
])("is $state $reason when the login is answered with $line", async ({ line, state, reason }) => {
  const { port } = await rawPeer(answering(`${line}\r\n`, "+PONG\r\n"));
  const passwordFile = secretFile("secret");
  expect(await lookWith(redis, { host, port, passwordFile })).toMatchObject({ state, reason });
});

test.each(["hunter2", "$&", "(.*)", "ä\\x00", "x".repeat(300)])(
  "does not repeat the password %s, whole or in part",
  async (password) => {
    const passwordFile = secretFile(password);
    for (const echo of [password, password.slice(0, 128), `'${password}' ${password}`]) {
      for (const answers of [
        [`-ERR unknown command 'AUTH', with args beginning with: ${echo}\r\n`],
        [`+${echo}\r\n`],
        ["+OK\r\n", `-ERR ${echo}\r\n`],
      ]) {
        const { port } = await rawPeer(answering(...answers));
        const { reason, detail } = await lookWith(redis, { host, port, passwordFile });
        expect(reason).toBe("unexpected_answer");
        expect(detail).not.toContain(password.slice(0, 128));
      }
    }
  },
);

test("quotes a server in one short line of printable characters", async () => {
  const { port } = await rawPeer(answering(`-ERR \u001b[2J\u202e\n${"long ".repeat(100)}\r\n`));
  const { detail } = await lookWith(redis, { host, port });
  expect(detail).toMatch(/^[\x20-\x7e]{1,200}$/);
  expect(detail).toContain("-ERR \\u{1b}[2J");
});

test.each([
  { what: "closes at once", meet: (socket: Socket) => void socket.end() },
  { what: "closes when asked", meet: (socket: Socket) => void socket.once("data", () => socket.end()) },
  { what: "closes within its answer", meet: (socket: Socket) => void socket.end("+PON") },
  { what: "resets", meet: (socket: Socket) => void socket.once("data", () => socket.resetAndDestroy()) },
])("is down connection_reset when the peer $what", async ({ meet }) => {
  const { port } = await rawPeer(meet);
  expect(await lookWith(redis, { host, port })).toMatchObject({ state: "down", reason: "connection_reset" });
});

test.each([
  { what: "says nothing", meet: () => {} },
  { what: "never ends its line", meet: (socket: Socket) => void socket.write("+PONG") },
  {
    what: "trickles",
    meet: (socket: Socket) => {
      const trickling = setInterval(() => socket.write("+"), 20);
      socket.on("close", () => clearInterval(trickling));
    },
  },
])("is down timeout with the signal, and lets go, when the peer $what", async ({ meet }) => {
  const peer = await rawPeer(meet);
  const startedMs = performance.now();
  const seen = await lookWith(redis, { host, port: peer.port }, AbortSignal.timeout(300));
  expect(seen).toMatchObject({ state: "down", reason: "timeout" });
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  await vi.waitFor(() => expect(peer.connections()).toBe(0));
});

test("is down timeout when nobody accepts", async () => {
  const seen = await lookWith(redis, { host, port: await silentPort() }, AbortSignal.timeout(300));
  expect(seen).toMatchObject({ state: "down", reason: "timeout" });
});

test.each(["+", "-ERR ", "\r\n", "\0"])("gives up on a peer that floods it with %j", async (bytes) => {
  const peer = await rawPeer((socket) => flood(socket, bytes.repeat(100_000)));
  const startedMs = performance.now();
  const seen = await lookWith(redis, { host, port: peer.port });
  expect(seen).toMatchObject({ state: "down", reason: "protocol_error" });
  expect(performance.now() - startedMs).toBeLessThan(2_000);
  await vi.waitFor(() => expect(peer.connections()).toBe(0));
});

test("is unknown, and asks nobody, while the password cannot be read; reads it at each look", async () => {
  const peer = await rawPeer(answering("+OK\r\n", "+PONG\r\n"));
  const passwordFile = secretFile("");
  const options = { host, port: peer.port, passwordFile };
  expect(await lookWith(redis, options)).toMatchObject({ state: "unknown", reason: "file_unreadable" });
  writeFileSync(passwordFile, "secret");
  expect(await lookWith(redis, options)).toMatchObject({ state: "up" });
});

test("asks at port 6379 where no other is given, and refuses a user without a password", () => {
  expect(redis.options.parse({ host: "cache" })).toEqual({ host: "cache", port: 6379 });
  const { error } = redis.options.safeParse({ host: "cache", user: "heart" });
  expect(error?.issues).toMatchObject([{ path: ["user"], message: "needs passwordFile, too" }]);
});
