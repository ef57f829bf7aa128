import { spawnSync } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { text } from "node:stream/consumers";
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { hasPromtool } from "../../../kubernetes/test/promtool.ts";
import { freePorts } from "../../../test/brokers/free-ports.ts";
import { metricsBody } from "../src/http/metrics.ts";
import { serveHttp } from "../src/http/server.ts";

const METRICS = metricsBody({
  version: '1.2.3-"x"',
  isBrokerConnected: true,
  isConfigInForce: false,
  configLoadedAtMs: Date.UTC(2026, 0, 2) + 500,
});

/** A server with the lines that it logs, and with reasons that the test may change. */
async function start({ host = "127.0.0.1", port }: { host?: string; port?: number } = {}) {
  const [free = 0] = await freePorts(1);
  const lines: string[] = [];
  const reasons: string[] = [];
  const options = { host, port: port ?? free };
  const server = serveHttp({
    ...options,
    unreadyReasons: () => reasons,
    metrics: () => METRICS,
    log: pino({ level: "info" }, { write: (line: string) => void lines.push(line) }),
  });
  onTestFinished(() => server.close());
  await vi.waitFor(() => expect(lines.length).toBeGreaterThan(0));
  return { ...options, server, lines, reasons };
}

async function ask(at: { host: string; port: number }, path: string, method = "GET") {
  const request = http.request({ ...at, path, method, agent: false }).end();
  const [response]: http.IncomingMessage[] = await once(request, "response");
  if (!response) throw new Error("no response");
  const { statusCode, headers } = response;
  return { statusCode, headers, body: await text(response) };
}

/** Sends what it is given and returns all that comes back, until the connection is closed. */
async function talk({ host, port }: { host: string; port: number }, words: string): Promise<string> {
  const socket = net.connect({ host, port });
  socket.on("error", () => {}); // a reset is an end as well
  socket.write(words);
  let heard = "";
  socket.on("data", (data) => (heard += data.toString()));
  await once(socket, "close");
  return heard;
}

describe("/livez", () => {
  test("passes while the process answers, ready or not", async () => {
    const server = await start();
    server.reasons.push("the broker is not connected");
    const { statusCode, headers, body } = await ask(server, "/livez");
    expect({ statusCode, body }).toEqual({ statusCode: 200, body: '{"status":"pass"}' });
    expect(headers).toMatchObject({
      "cache-control": "no-store",
      "content-type": "application/json; charset=utf-8",
    });
  });
});

describe("/readyz", () => {
  test("passes while there is no reason against it", async () => {
    const { statusCode, body } = await ask(await start(), "/readyz?verbose");
    expect({ statusCode, body }).toEqual({ statusCode: 200, body: '{"status":"pass","reasons":[]}' });
  });

  test("tells the reasons otherwise", async () => {
    const server = await start();
    server.reasons.push("the broker is not connected");
    const { statusCode, headers, body } = await ask(server, "/readyz");
    expect(statusCode).toBe(503);
    expect(JSON.parse(body)).toEqual({ status: "fail", reasons: ["the broker is not connected"] });
    expect(headers["cache-control"]).toBe("no-store");
  });
});

describe("/metrics", () => {
  test("tells of this publisher alone, in Prometheus's text format", async () => {
    const { statusCode, headers, body } = await ask(await start(), "/metrics");
    expect(statusCode).toBe(200);
    expect(headers).toMatchObject({
      "cache-control": "no-store",
      "content-type": "text/plain; version=0.0.4; charset=utf-8",
    });
    expect(body.split("\n").filter((line) => !line.startsWith("#"))).toEqual([
      "heartbeat_config_reload_success 0",
      "heartbeat_config_reload_success_timestamp_seconds 1767312000.5",
      "heartbeat_broker_connected 1",
      String.raw`heartbeat_build_info{version="1.2.3-\"x\""} 1`,
      "",
    ]);
  });

  test.runIf(hasPromtool)("has nothing that promtool finds fault with", () => {
    const { status, stderr } = spawnSync("promtool", ["check", "metrics"], {
      input: METRICS,
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });
});

test.each([
  { method: "HEAD", path: "/livez", statusCode: 200 },
  { method: "HEAD", path: "/metrics", statusCode: 200 },
  { method: "POST", path: "/metrics", statusCode: 405, allow: "GET, HEAD" },
  { method: "GET", path: "/metrics/", statusCode: 404 },
  { method: "GET", path: "/constructor", statusCode: 404 },
  { method: "HEAD", path: "/readyz", statusCode: 200 },
  { method: "POST", path: "/livez", statusCode: 405, allow: "GET, HEAD" },
  { method: "DELETE", path: "/readyz", statusCode: 405, allow: "GET, HEAD" },
  { method: "OPTIONS", path: "/livez", statusCode: 405, allow: "GET, HEAD" },
  { method: "GET", path: "/", statusCode: 404 },
  { method: "GET", path: "/health", statusCode: 404 },
  { method: "GET", path: "/livez/", statusCode: 404 },
  { method: "GET", path: "//livez", statusCode: 404 },
  { method: "POST", path: "/else", statusCode: 404 },
])("$method $path answers $statusCode, shortly", async ({ method, path, statusCode, allow }) => {
  const answered = await ask(await start(), path, method);
  expect(answered.statusCode).toBe(statusCode);
  expect(answered.headers.allow).toBe(allow);
  expect(answered.headers["cache-control"]).toBe("no-store");
  expect(answered.body.length).toBeLessThan(50);
  if (method === "HEAD") expect(answered.body).toBe("");
});

describe("a caller", () => {
  test("who says nothing, or does not come to an end, is sent away in time", async () => {
    const server = await start();
    const startedMs = performance.now();
    const words = ["", "GET /livez HTTP/1.1\r\nhost: a\r\n"];
    const heard = await Promise.all(words.map((words) => talk(server, words)));
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(heard.join()).not.toContain("200 OK");
  });

  test("with endless headers is sent away", async () => {
    const words = `GET /livez HTTP/1.1\r\nhost: a\r\nx: ${"x".repeat(20_000)}\r\n\r\n`;
    expect(await talk(await start(), words)).toMatch(/^HTTP\/1.1 431 /);
  });

  test("who holds all connections keeps nobody else out", async () => {
    const server = await start();
    const held = Array.from({ length: 40 }, () => net.connect({ host: server.host, port: server.port }));
    onTestFinished(() => held.forEach((socket) => socket.destroy()));
    for (const socket of held) socket.on("error", () => {}); // a reset is what the oldest get
    await Promise.all(held.map((socket) => once(socket, "connect")));
    expect((await ask(server, "/readyz")).statusCode).toBe(200);
  });

  test("who speaks no HTTP harms nobody", async () => {
    const server = await start();
    expect(await talk(server, "\u0016\u0003\u0001 hello\r\n\r\n")).toMatch(/^HTTP\/1.1 400 /);
    expect((await ask(server, "/livez")).statusCode).toBe(200);
  });
});

test("a stop frees the port, also while somebody holds a connection", async () => {
  const { host, port, server } = await start();
  const held = net.connect({ host, port });
  held.on("error", () => {}); // being cut off is what is expected
  await once(held, "connect");
  const gone = once(held, "close");
  server.close();
  await gone;
  const next = net.createServer().listen(port, host);
  await once(next, "listening");
  expect(next.listening).toBe(true);
  next.close();
});

describe("the address", () => {
  test("that is taken is one warning with its variables, and nothing else happens", async () => {
    const { port } = await start();
    const { lines } = await start({ port });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`HTTP_HOST, HTTP_PORT: cannot listen at 127.0.0.1:${port} (EADDRINUSE)`);
    expect(lines[0]).toContain('"level":40');
  });

  test("that is not this machine's is a warning as well", async () => {
    const { lines } = await start({ host: "192.0.2.1", port: 8081 });
    expect(lines[0]).toContain("cannot listen at 192.0.2.1:8081 (EADDRNOTAVAIL)");
  });

  test("may be one of IPv6", async () => {
    const server = await start({ host: "::1" });
    expect(server.lines[0]).toContain(`[::1]:${server.port}`);
    expect((await ask(server, "/livez")).statusCode).toBe(200);
  });
});
