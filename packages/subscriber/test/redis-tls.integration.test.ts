import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateFile } from "@pipeline-heartbeat/shared/pem-file.ts";
import { afterAll, beforeAll, expect, inject, onTestFinished, test, vi } from "vitest";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import { tlsProxy } from "../../../test/tls-proxy.ts";
import { connectRedis } from "../src/redis/connection.ts";

const HOUR_MS = 3_600_000;
const here = ["DNS:localhost", "IP:127.0.0.1"];
const folder = mkdtempSync(join(tmpdir(), "redis-tls-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

let authority: Authority;
let stranger: Authority;
let server: Certificate;

beforeAll(() => {
  authority = createAuthority(folder, { name: "site-ca" });
  stranger = createAuthority(folder, { name: "other-ca" });
  server = authority.issue({ name: "localhost", altNames: here });
});

/** A connection to the real Redis by TLS, with all problems that it tells. */
async function redisByTls(certificate: Certificate, caPath: string | undefined, host = "localhost") {
  const proxy = await tlsProxy(inject("redis"), certificate);
  const problems: string[] = [];
  const settings = {
    servers: { kind: "server", address: { host, port: proxy.port }, db: 0 },
    username: undefined,
    password: undefined,
    tls: { ca: certificateFile().parse(caPath) },
  } as const;
  const redis = connectRedis(settings, { away: (problem) => problems.push(problem), nodeAway: () => {} });
  onTestFinished(() => redis.disconnect());
  const untilAnswered = () =>
    vi.waitFor(async () => expect(await redis.ping()).toBe("PONG"), { timeout: 10_000 });
  return { proxy, problems, redis, untilAnswered };
}

test.each(["localhost", "127.0.0.1"])("Redis by TLS answers at %s", async (host) => {
  const { problems, untilAnswered } = await redisByTls(server, authority.certPath, host);
  await untilAnswered();
  expect(problems).toEqual([]);
});

test.each([
  { what: "no authority is given", ca: () => undefined, told: "this system trusts, and no CA file is set" },
  { what: "it is another authority's", ca: () => stranger.certPath, told: "is not from an authority in /" },
  {
    what: "it has expired",
    subject: { altNames: here, validUntil: new Date(Date.now() - HOUR_MS) },
    ca: () => authority.certPath,
    told: "has expired",
  },
  {
    what: "it is for another name",
    subject: { altNames: ["DNS:redis.example"] },
    ca: () => authority.certPath,
    told: "is not for 'localhost' but for DNS:redis.example",
  },
])("a certificate is refused and retried when $what", async ({ what, subject, ca, told }) => {
  vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
  onTestFinished(() => void vi.unstubAllEnvs());
  const shown = subject ? authority.issue({ name: what.replaceAll(" ", "-"), ...subject }) : server;
  const { proxy, problems, redis } = await redisByTls(shown, ca());
  await vi.waitFor(() => expect(problems.length).toBeGreaterThan(2), { timeout: 10_000 });
  for (const problem of problems) {
    expect(problem).toContain(`the certificate of localhost:${proxy.port} `);
    expect(problem).toContain(told);
  }
  expect(redis.status).not.toBe("ready");
});

test("Redis answers again when the certificate or the file of the authority was replaced", async () => {
  const ca = join(folder, "replaced.pem");
  cpSync(stranger.certPath, ca);
  const { proxy, problems, untilAnswered } = await redisByTls(server, ca);
  await vi.waitFor(() => expect(problems.join()).toContain(ca));
  cpSync(authority.certPath, ca);
  await untilAnswered();
  proxy.show(stranger.issue({ name: "localhost", altNames: here }));
  proxy.reset();
  problems.length = 0;
  await vi.waitFor(() => expect(problems.join()).toContain(ca));
  proxy.show(server);
  await untilAnswered();
});
