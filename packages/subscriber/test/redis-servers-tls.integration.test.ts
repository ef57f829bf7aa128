import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateFile } from "@pipeline-heartbeat/shared/pem-file.ts";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { freePorts } from "../../../test/brokers/free-ports.ts";
import { redisStarter } from "../../../test/brokers/redis-servers.ts";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import { tlsProxy } from "../../../test/tls-proxy.ts";
import type { RedisServers } from "../src/redis-config.ts";
import { connectRedis } from "../src/redis/connection.ts";
import { redisStore } from "../src/redis/store.ts";

const PASSWORD = "hunter2-redis";

const folder = mkdtempSync(join(tmpdir(), "redis-servers-tls-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

let authority: Authority;
let stranger: Authority;
let certificate: Certificate;

beforeAll(() => {
  authority = createAuthority(folder, { name: "site-ca" });
  stranger = createAuthority(folder, { name: "other-ca" });
  certificate = authority.issue({ name: "redis", altNames: ["DNS:localhost", "IP:127.0.0.1"] });
});

/** A server that can be reached by TLS as well, at `port`. */
async function start(args: readonly string[], { isAsked = true } = {}) {
  const [plainPort = 0, busPort = 0] = await freePorts(2);
  const redis = await redisStarter();
  const isCluster = args.includes("--cluster-enabled");
  const server = await redis({
    port: plainPort,
    args: [...args, ...(isCluster ? ["--cluster-port", String(busPort)] : [])],
    password: isAsked ? PASSWORD : undefined,
  });
  onTestFinished(() => server.stop());
  const { port } = await tlsProxy({ host: "127.0.0.1", port: plainPort }, certificate);
  return { port, command: server.address.command };
}

/** Sentinels are asked for a password or not, whatever their servers are. */
async function sentinels(isAsked: boolean): Promise<(host: string) => RedisServers> {
  const primary = await start(["--save", ""]);
  const sentinel = await start(["--sentinel"], { isAsked });
  await sentinel.command("SENTINEL", "MONITOR", "main", "127.0.0.1", primary.port, 1);
  const { port } = sentinel;
  return (host) => ({ kind: "sentinels", sentinels: [{ host, port }], primaryName: "main", db: 0 });
}

async function cluster(): Promise<(host: string) => RedisServers> {
  const { port, command } = await start(["--save", "", "--cluster-enabled", "yes"]);
  await command("CONFIG", "SET", "cluster-announce-ip", "127.0.0.1");
  await command("CONFIG", "SET", "cluster-announce-port", port);
  await command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383);
  await vi.waitFor(
    async () => expect(String(await command("CLUSTER", "INFO"))).toContain("cluster_state:ok"),
    5_000,
  );
  return (host) => ({ kind: "cluster", nodes: [{ host, port }] });
}

function connect(servers: RedisServers, caPath: string) {
  const problems: string[] = [];
  const tls = { ca: certificateFile().parse(caPath) };
  const settings = { servers, username: undefined, password: PASSWORD, tls };
  const redis = connectRedis(settings, { away: (problem) => problems.push(problem), nodeAway: () => {} });
  onTestFinished(() => redis.disconnect());
  return { store: redisStore(redis, { maxSites: 10, readerKeys: "off" }), problems };
}

test.each([
  { what: "sentinels and their primary", start: () => sentinels(false) },
  { what: "sentinels that want the password as well", start: () => sentinels(true) },
  { what: "the nodes of a cluster", start: cluster },
])("$what answer by TLS, and are refused with certificates of another authority", async ({ start }) => {
  const servers = await start();
  for (const host of ["localhost", "127.0.0.1"]) {
    const { store, problems } = connect(servers(host), authority.certPath);
    await vi.waitFor(async () => await store.ping(), 5_000);
    expect(problems).toEqual([]);
  }
  const { store, problems } = connect(servers("localhost"), stranger.certPath);
  await vi.waitFor(
    () => expect(problems.join()).toContain(`is not from an authority in ${stranger.certPath}`),
    5_000,
  );
  await expect(store.ping()).rejects.toThrow("not connected");
});
