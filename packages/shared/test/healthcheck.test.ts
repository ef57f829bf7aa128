import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createAuthority } from "../../../test/certificates.ts";
import { ConfigError } from "../src/config.ts";
import { healthcheckCommand } from "../src/healthcheck.ts";
import { httpVariables } from "../src/http-address.ts";

const variables = httpVariables({ host: "127.0.0.1", port: 8081 }, { leastPort: 0 });

async function check(env: Readonly<Record<string, string>>, ...args: string[]) {
  return await checkBy({ isHttps: false }, env, ...args);
}

async function checkBy(
  { isHttps }: { isHttps: boolean },
  env: Readonly<Record<string, string>>,
  ...args: string[]
) {
  const told: string[] = [];
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    told.push(String(text));
    return true;
  });
  try {
    return { exitCode: await healthcheckCommand(env, variables, isHttps).run(args), told: told.join("") };
  } finally {
    write.mockRestore();
  }
}

/** A service that answers with this status at this path only. Returns its port. */
async function serve(status: number, { host = "127.0.0.1", path = "/livez" } = {}): Promise<string> {
  const server = http.createServer(({ url }, response) => {
    response.writeHead(url === path ? status : 418).end();
  });
  return await listening(server, host);
}

async function listening(server: net.Server, host: string): Promise<string> {
  await once(server.listen(0, host), "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  return String(typeof address === "object" && address?.port);
}

describe("healthcheck", () => {
  test.each([
    { status: 200, exitCode: 0 },
    { status: 503, exitCode: 1 },
    { status: 404, exitCode: 1 },
    { status: 302, exitCode: 1 },
  ])("an answer of $status gives $exitCode and is told", async ({ status, exitCode }) => {
    const port = await serve(status);
    const told = `http://127.0.0.1:${port}/livez: ${status}\n`;
    expect(await check({ HTTP_PORT: port })).toEqual({ exitCode, told });
  });

  test.each([
    { HTTP_HOST: "0.0.0.0", listensAt: "127.0.0.1" },
    { HTTP_HOST: "::", listensAt: "::1" },
    { HTTP_HOST: "[::1]", listensAt: "::1" },
    { HTTP_HOST: "localhost", listensAt: "127.0.0.1" },
    { HTTP_HOST: "127.0.0.2", listensAt: "127.0.0.2" },
  ])("$HTTP_HOST is asked at $listensAt", async ({ HTTP_HOST, listensAt }) => {
    const port = await serve(200, { host: listensAt });
    const told = expect.stringContaining(listensAt);
    expect(await check({ HTTP_HOST, HTTP_PORT: port })).toMatchObject({ exitCode: 0, told });
  });

  test("nobody there is 1, with the reason", async () => {
    const told = "http://127.0.0.1:1/livez: ECONNREFUSED\n";
    expect(await check({ HTTP_PORT: "1" })).toEqual({ exitCode: 1, told });
  });

  test("who accepts and never answers is 1 within three seconds", async () => {
    const sockets = new Set<net.Socket>();
    onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
    const port = await listening(
      net.createServer((socket) => sockets.add(socket)),
      "127.0.0.1",
    );
    const startedMs = performance.now();
    const { exitCode, told } = await check({ HTTP_PORT: port });
    expect({ exitCode, told }).toEqual({
      exitCode: 1,
      told: `http://127.0.0.1:${port}/livez: no answer in time\n`,
    });
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });

  test("without HTTP there is nobody to ask: no reason to restart it, and not known to be ready", async () => {
    const told = "HTTP_PORT is 0: there is nobody to ask\n";
    expect(await check({ HTTP_PORT: "0" })).toEqual({ exitCode: 0, told });
    expect(await check({ HTTP_PORT: "0" }, "--ready")).toEqual({ exitCode: 1, told });
  });

  test("with --ready it asks for /readyz", async () => {
    const port = await serve(200, { path: "/readyz" });
    const told = `http://127.0.0.1:${port}/readyz: 200\n`;
    expect(await check({ HTTP_PORT: port }, "--ready")).toEqual({ exitCode: 0, told });
    expect(await check({ HTTP_PORT: port })).toMatchObject({ exitCode: 1 });
  });

  test("only a wrong HTTP_PORT is its business", async () => {
    await expect(check({ HTTP_PORT: "x", RABBITMQ_PORT: "x" })).rejects.toThrow(ConfigError);
    await expect(check({}, "--live")).rejects.toThrow("Unknown option '--live'");
  });

  test("by HTTPS the certificate may be for another name, and expired: neither is a reason to restart", async () => {
    const folder = mkdtempSync(join(tmpdir(), "healthcheck-test-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const [validFrom, validUntil] = [new Date("2020-01-01"), new Date("2021-01-01")];
    const authority = createAuthority(folder, { name: "test-ca" });
    const { certPath, keyPath } = authority.issue({ name: "health.example", validFrom, validUntil });
    const pair = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
    const server = https.createServer(pair, ({ url }, response) => {
      response.writeHead(url === "/readyz" ? 503 : 200).end();
    });
    const port = await listening(server, "::1");
    const env = { HTTP_HOST: "::", HTTP_PORT: port };
    const told = `https://[::1]:${port}/livez: 200\n`;
    expect(await checkBy({ isHttps: true }, env)).toEqual({ exitCode: 0, told });
    expect(await checkBy({ isHttps: true }, env, "--ready")).toMatchObject({ exitCode: 1 });
    expect(await check(env)).toMatchObject({ exitCode: 1 });
  });
});
