import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { onFreePorts } from "../../../test/brokers/free-ports.ts";
import { connectRedis } from "../../../test/brokers/redis-connection.ts";
import { type RedisServer, redisStarter } from "../../../test/brokers/redis-servers.ts";
import { createAuthority } from "../../../test/certificates.ts";
import { redis } from "../src/probes/redis.ts";
import { lookWith } from "./look-with.ts";

const host = "127.0.0.1";
const password = "p4 $&'ß\"";

function ownFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "redis-probe-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function secretFile(secret: string): string {
  const path = join(ownFolder(), "password");
  writeFileSync(path, secret);
  return path;
}

/** A Redis that only this test knows. */
async function ownRedis(args: readonly string[] = [], requirepass?: string): Promise<RedisServer> {
  const start = await redisStarter();
  const server = await onFreePorts(1, ([port = 0]) => start({ port, args, password: requirepass }));
  onTestFinished(() => server.stop());
  return server.address;
}

test("a Redis without a password is up; it is unknown to whoever has one for it", async () => {
  const { port } = await ownRedis();
  expect(await lookWith(redis, { host, port })).toMatchObject({ state: "up" });
  const passwordFile = secretFile(password);
  expect(await lookWith(redis, { host, port, passwordFile })).toMatchObject({
    state: "unknown",
    reason: "login_refused",
    detail: expect.stringContaining("has no password set"),
  });
  // Any password is good for its default user, when that is named.
  expect(await lookWith(redis, { host, port, user: "default", passwordFile })).toMatchObject({ state: "up" });
});

test("a Redis with a password is up with it, down with another, and unknown without", async () => {
  const { port, command } = await ownRedis([], password);
  const passwordFile = secretFile(password);
  const options = { host, port, passwordFile };
  expect(await lookWith(redis, options)).toMatchObject({ state: "up" });
  expect(await lookWith(redis, { host, port })).toMatchObject({ state: "unknown", reason: "login_refused" });

  // As the one who runs it changes it, and the file only later.
  await command("CONFIG", "SET", "requirepass", "renewed");
  expect(await lookWith(redis, options)).toMatchObject({ state: "down", reason: "login_refused" });
  writeFileSync(passwordFile, "renewed\n");
  expect(await lookWith(redis, options)).toMatchObject({ state: "up" });
});

test("a user of the access control list is up, and unknown where he may not PING", async () => {
  const { port, command } = await ownRedis();
  await command("ACL", "SETUSER", "heart", "on", `>${password}`, "+ping");
  await command("ACL", "SETUSER", "mute", "on", `>${password}`, "+get");
  const passwordFile = secretFile(password);
  const asked = (user: string) => lookWith(redis, { host, port, user, passwordFile });
  expect(await asked("heart")).toMatchObject({ state: "up" });
  expect(await asked("mute")).toMatchObject({ state: "unknown", reason: "login_refused" });
  expect(await asked("nobody")).toMatchObject({ state: "down", reason: "login_refused" });
  await command("ACL", "SETUSER", "heart", "off");
  expect(await asked("heart")).toMatchObject({ state: "down", reason: "login_refused" });
});

test("a password that Redis repeats in an error is not told", async () => {
  const { port } = await ownRedis(["--rename-command", "AUTH", "LOGIN"]);
  const seen = await lookWith(redis, { host, port, passwordFile: secretFile(password) });
  expect(seen).toMatchObject({ state: "down", reason: "unexpected_answer" });
  expect(seen.detail).toBe(`${host}:${port} does not answer as expected`);
});

test("by TLS its certificate is checked, and ours is shown where it is demanded", async () => {
  const folder = ownFolder();
  const authority = createAuthority(folder, { name: "site-ca" });
  const stranger = createAuthority(folder, { name: "other-ca" });
  const server = authority.issue({ name: "cache", altNames: ["DNS:cache.example"] });
  const client = authority.issue({ name: "client" });
  const files = ["--tls-cert-file", server.certPath, "--tls-key-file", server.keyPath];
  const start = await redisStarter();
  const [running, port] = await onFreePorts(2, async ([plainPort = 0, tlsPort = 0]) => {
    const args = ["--tls-port", String(tlsPort), ...files, "--tls-ca-cert-file", authority.certPath];
    return [await start({ port: plainPort, args }), tlsPort];
  });
  onTestFinished(() => running.stop());

  const right = { caFile: authority.certPath, serverName: "cache.example" };
  const own = { certFile: client.certPath, keyFile: client.keyPath };
  const asked = (tls: object | true) => lookWith(redis, { host, port, tls });
  expect(await asked({ ...right, ...own })).toMatchObject({ state: "up" });
  expect(await asked(right)).toMatchObject({
    reason: "tls_failed",
    detail: expect.stringContaining("demands a client certificate"),
  });
  await running.address.command("CONFIG", "SET", "tls-auth-clients", "no");
  expect(await asked(right)).toMatchObject({ state: "up" });
  expect(await asked(true)).toMatchObject({ state: "down", reason: "tls_failed" });
  expect(await asked({ ...right, caFile: stranger.certPath })).toMatchObject({ reason: "tls_failed" });
  expect(await asked({ ...right, serverName: "other.example" })).toMatchObject({ reason: "tls_failed" });
  expect(await asked({ caFile: join(folder, "gone.pem") })).toMatchObject({
    state: "unknown",
    reason: "file_unreadable",
  });

  const expired = authority.issue({
    name: "expired",
    altNames: ["DNS:cache.example"],
    validUntil: new Date(Date.now() - 3_600_000),
  });
  const { command } = running.address;
  await command("CONFIG", "SET", "tls-cert-file", expired.certPath, "tls-key-file", expired.keyPath);
  expect(await asked(right)).toMatchObject({ state: "down", reason: "certificate_expired" });

  // Redis without TLS takes the beginning of a handshake for a command that has not ended.
  const plain = { host, port: running.address.port, tls: true };
  expect(await lookWith(redis, plain, AbortSignal.timeout(300))).toMatchObject({ reason: "timeout" });
  expect(await lookWith(redis, { host, port })).toMatchObject({ state: "down", reason: "connection_reset" });
});

test("a script that never ends makes it down: first by its silence, then as not ready", async () => {
  const { port, command } = await ownRedis(["--busy-reply-threshold", "1500"]);
  const running = command("EVAL", "while true do end", 0).catch(() => {});
  await vi.waitFor(async () => {
    const seen = await lookWith(redis, { host, port }, AbortSignal.timeout(200));
    expect(seen).toMatchObject({ state: "down", reason: "timeout" });
  });
  expect(await lookWith(redis, { host, port })).toMatchObject({ state: "down", reason: "not_ready" });
  // A client refuses to connect while Redis is busy; this is what one types by hand.
  connect({ host, port }).end("SCRIPT KILL\r\n");
  await running;
  expect(await lookWith(redis, { host, port })).toMatchObject({ state: "up" });
});

test.each([
  {
    what: "is a replica that has lost its primary",
    begin: async ({ command }: RedisServer) => {
      await command("CONFIG", "SET", "replica-serve-stale-data", "no");
      await command("REPLICAOF", host, 1);
    },
    end: ({ command }: RedisServer) => command("REPLICAOF", "NO", "ONE"),
  },
  {
    what: "cannot save its data",
    begin: async ({ command }: RedisServer) => {
      await command("CONFIG", "SET", "dir", "/proc");
      await command("CONFIG", "SET", "save", "3600 1000");
      await command("BGSAVE");
    },
    end: ({ command }: RedisServer) => command("CONFIG", "SET", "stop-writes-on-bgsave-error", "no"),
  },
  {
    what: "still loads its data",
    begin: async ({ command }: RedisServer) => {
      await command("DEBUG", "POPULATE", 2_000);
      await command("CONFIG", "SET", "loading-process-events-interval-bytes", 1024);
      await command("CONFIG", "SET", "key-load-delay", 1_000);
      void command("DEBUG", "RELOAD").catch(() => {});
    },
    // It ends by itself.
    end: async () => {},
  },
])("is down not_ready while it $what", async ({ what, begin, end }) => {
  const server = await ownRedis(["--enable-debug-command", "yes", "--enable-protected-configs", "yes"]);
  await begin(server);
  const detail = `${host}:${server.port} ${what}`;
  await vi.waitFor(
    async () =>
      expect(await lookWith(redis, { host, port: server.port })).toMatchObject({
        state: "down",
        reason: "not_ready",
        detail,
      }),
    5_000,
  );
  await end(server);
  await vi.waitFor(
    async () => expect(await lookWith(redis, { host, port: server.port })).toMatchObject({ state: "up" }),
    10_000,
  );
});

test("is down not_ready while it has as many clients as it may have", async () => {
  const { port } = await ownRedis();
  const last = await connectRedis({ host, port });
  onTestFinished(() => last.close());
  await last.command("CONFIG", "SET", "maxclients", 1);
  await expect
    .poll(() => lookWith(redis, { host, port }))
    .toMatchObject({ state: "down", reason: "not_ready" });
});

test("a hundred looks leave no connection behind", async () => {
  const { port, command } = await ownRedis([], password);
  const passwordFile = secretFile(password);
  await Promise.all(Array.from({ length: 100 }, () => lookWith(redis, { host, port, passwordFile })));
  await expect.poll(() => command("INFO", "clients")).toContain("connected_clients:1\r");
});
