import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsOptions } from "node:tls";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type * as z from "zod";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import type { Observation } from "../src/probe.ts";
import { http } from "../src/probes/http.ts";
import { listeningPort } from "./listening-port.ts";
import { soon, startProbe } from "./start-probe.ts";

type Options = Omit<z.input<typeof http.options>, "url">;

const folder = mkdtempSync(join(tmpdir(), "http-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function look(url: string, options: Options = {}, signal = soon()): Promise<Observation> {
  const { latencyMs, ...seen } = await startProbe(http, { url, ...options })(signal);
  expect(latencyMs).toBeGreaterThanOrEqual(0);
  return seen;
}

/** The address of a server that answers like this, without a slash at its end. */
async function served(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listeningPort(createServer(listener))}`;
}

async function answering(status: number, body = "", headers = {}): Promise<string> {
  return await served((_request, response) => response.writeHead(status, headers).end(body));
}

/** The address of a peer that gets a socket and may do with it what it likes. */
async function peer(onSocket: (socket: net.Socket) => void): Promise<string> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    // Without being read it would not see that it is closed.
    sockets.add(socket.on("error", () => {}).resume());
    onSocket(socket);
  });
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
  return `http://127.0.0.1:${await listeningPort(server)}`;
}

/** A file that holds a secret. */
function fileWith(text: string): string {
  const path = join(folder, `secret-${Math.random()}`);
  writeFileSync(path, text);
  return path;
}

describe("a status", () => {
  test.each<{ answered: number; status?: Options["status"]; state: "up" | "down" }>([
    { answered: 200, state: "up" },
    { answered: 204, state: "up" },
    { answered: 299, state: "up" },
    { answered: 301, state: "down" },
    { answered: 404, state: "down" },
    { answered: 500, state: "down" },
    { answered: 404, status: 404, state: "up" },
    { answered: 200, status: 404, state: "down" },
    { answered: 403, status: "4xx", state: "up" },
    { answered: 401, status: "401-403", state: "up" },
    { answered: 404, status: "401-403", state: "down" },
    { answered: 302, status: ["2xx", 302], state: "up" },
    { answered: 303, status: ["2xx", 302], state: "down" },
  ])("$answered is $state where $status is expected", async ({ answered, status, state }) => {
    const seen = await look(await answering(answered), { ...(status && { status }) });
    const reason = state === "up" ? {} : { reason: "unexpected_status" };
    expect(seen).toMatchObject({ state, ...reason, values: { http_status: answered } });
  });

  test("that is not expected is told with what is", async () => {
    const { detail } = await look(await answering(503), { status: ["2xx", 404] });
    expect(detail).toMatch(/^127\.0\.0\.1:\d+ answered 503, not 200-299, 404$/);
  });

  test("does, whatever the body is, where nothing is expected of that", async () => {
    const large = await answering(200, "x".repeat(1024 * 1024));
    expect(await look(large)).toMatchObject({ state: "up" });
    const gzip = await answering(200, "no gzip", { "content-encoding": "gzip" });
    expect(await look(gzip)).toMatchObject({ state: "up" });
    const endless = await peer((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1"));
    expect(await look(endless)).toMatchObject({ state: "up" });
  });

  test.each(["GET", "HEAD", "OPTIONS"] as const)("is asked for by %s", async (method) => {
    const asked: unknown[] = [];
    const url = await served((request, response) => {
      asked.push([request.method, request.url, request.headers.connection]);
      response.end();
    });
    expect(await look(`${url}/health?deep=1`, { method })).toMatchObject({ state: "up" });
    expect(asked).toEqual([[method, "/health?deep=1", "close"]]);
  });
});

describe("a body", () => {
  const found = { state: "up", values: { http_status: 200 } };
  const json = '{"status":"ok","components":{"db":{"status":"down"},"a.b":null},"items":[{"up":true,"n":3}]}';

  test.each<{ options: Options; problem?: string; body?: string }>([
    { options: { bodyPattern: '"status":\\s*"ok"' } },
    { options: { bodyPattern: "(?i)STATUS" } },
    { options: { bodyPattern: "healthy" }, problem: "bodyPattern does not occur in the body" },
    { options: { json: { path: "status" } } },
    { options: { json: { path: "status", value: "ok" } } },
    { options: { json: { path: "status", value: "up" } }, problem: 'status is not "up"' },
    { options: { json: { path: "components.db.status", value: "down" } } },
    { options: { json: { path: "items[0].up", value: true } } },
    { options: { json: { path: "items[0].up", value: "true" } }, problem: 'items[0].up is not "true"' },
    { options: { json: { path: "items[0].n", value: 3 } } },
    { options: { json: { path: '$.components["a.b"]', value: null } } },
    { options: { json: { path: "components", value: null } }, problem: "components is not null" },
    { options: { json: { path: "items[1]" } }, problem: "the body has no items[1]" },
    { options: { json: { path: "toString" } }, problem: "the body has no toString" },
    { options: { json: { path: "items.length" } }, problem: "the body has no items.length" },
    { options: { json: { path: "status" } }, body: "<html>", problem: "the body is no JSON" },
    { options: { json: { path: "status" } }, body: "", problem: "the body is no JSON" },
    { options: { json: { path: "status" } }, body: "null", problem: "the body has no status" },
    { options: { json: { path: "status" } }, body: `\uFEFF${json}` },
    { options: { json: { path: "status" } }, body: "[".repeat(200_000), problem: "the body is no JSON" },
    {
      options: { bodyPattern: "ok", json: { path: "status", value: "up" } },
      problem: 'status is not "up"',
    },
    {
      options: { bodyPattern: "fine", json: { path: "status", value: "ok" } },
      problem: "bodyPattern does not occur in the body",
    },
  ])("with $options.bodyPattern $options.json: $problem", async ({ options, problem, body = json }) => {
    const seen = await look(await answering(200, body), options);
    const down = { state: "down", reason: "unexpected_answer", detail: problem, values: found.values };
    expect(seen).toEqual(problem === undefined ? found : down);
  });

  test("is not looked at where the status is not expected", async () => {
    const seen = await look(await answering(500, json), { json: { path: "status", value: "ok" } });
    expect(seen).toMatchObject({ state: "down", reason: "unexpected_status" });
  });

  test("is expected of a failure that is expected, too", async () => {
    const options: Options = { status: 503, json: { path: "status", value: "ok" } };
    expect(await look(await answering(503, json), options)).toMatchObject({ state: "up" });
  });

  test("of 256 KiB is read, one that is larger is not", async () => {
    const url = await served((request, response) => {
      response.end("x".repeat(Number(request.url?.slice(1)) - 2) + "ok");
    });
    const bodyPattern = "(?s)^x{0,10}.*ok";
    expect(await look(`${url}/1024`, { bodyPattern })).toMatchObject({ state: "up" });
    const json = { path: "status" };
    expect(await look(`${url}/${256 * 1024}`, { json })).toMatchObject({ reason: "unexpected_answer" });
    expect(await look(`${url}/${256 * 1024 + 1}`, { json })).toMatchObject({
      state: "down",
      reason: "answer_too_large",
      detail: "the body is larger than 262144 bytes",
    });
  });

  test("that never ends is too large", async () => {
    const url = await served((_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write("x".repeat(10_000)));
      };
      response.on("drain", more);
      more();
    });
    expect(await look(url, { bodyPattern: "ok" })).toMatchObject({ reason: "answer_too_large" });
  });

  test("in which the pattern takes too long is not known to be good, nor bad, and holds nothing up", async () => {
    const url = await answering(200, "a".repeat(200_000));
    const startedMs = performance.now();
    expect(await look(url, { bodyPattern: "(?:a|aa)+b" })).toMatchObject({
      state: "unknown",
      reason: "answer_too_large",
    });
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });

  test("is asked for uncompressed, and is not as expected if it is compressed", async () => {
    const encodings: unknown[] = [];
    const url = await served((request, response) => {
      encodings.push(request.headers["accept-encoding"]);
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(json));
    });
    expect(await look(url, { bodyPattern: "ok" })).toMatchObject({
      state: "down",
      reason: "unexpected_answer",
      detail: "the body is compressed, unasked",
    });
    expect(encodings).toEqual(["identity"]);
  });

  test("that is cut off is no body", async () => {
    const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{"status":"ok"}';
    const url = await peer((socket) => socket.end(answer));
    expect(await look(url, { bodyPattern: "ok" })).toMatchObject({
      state: "down",
      reason: "connection_reset",
    });
  });

  test.each(["bodyPattern", "json"])("never leaves: %s", async (what) => {
    const url = await answering(200, '{"token":"hunter2","status":"hunter2"} hunter2');
    const options: Options =
      what === "json" ? { json: { path: "status", value: "ok" } } : { bodyPattern: "fine" };
    const seen = await look(url, options);
    expect(seen).toMatchObject({ state: "down" });
    expect(JSON.stringify(seen)).not.toContain("hunter2");
  });
});

describe("headers", () => {
  /** What a server is sent by looks at it. */
  async function recorder() {
    const sent: Record<string, unknown>[] = [];
    const url = await served(({ headers }, response) => {
      sent.push(headers);
      response.writeHead(headers.authorization === "Bearer s3cret" ? 200 : 401).end();
    });
    return { url, sent };
  }

  test("are sent as they stand, and as they stand in files at this moment", async () => {
    const { url, sent } = await recorder();
    const path = fileWith("Bearer old\n");
    const options = { headers: { accept: "text/plain", Host: "web.example" } };
    const probe = startProbe(http, { url, ...options, headerFiles: { Authorization: path } });
    const refused = await probe(soon());
    expect(refused).toMatchObject({
      state: "down",
      reason: "login_refused",
      values: { http_status: 401 },
    });
    expect(JSON.stringify(refused)).not.toContain("old");
    writeFileSync(path, "Bearer s3cret\n");
    expect(await probe(soon())).toMatchObject({ state: "up" });
    expect(sent).toMatchObject([
      { accept: "text/plain", host: "web.example", authorization: "Bearer old" },
      { authorization: "Bearer s3cret" },
    ]);
  });

  test("are not at fault for a 401 that no credentials were sent for, or that is expected", async () => {
    const { url } = await recorder();
    expect(await look(url)).toMatchObject({ state: "down", reason: "unexpected_status" });
    expect(await look(url, { status: 401 })).toMatchObject({ state: "up" });
  });

  test.each([
    { what: "that does not exist", path: () => join(folder, "missing") },
    { what: "that is empty", path: () => fileWith("\n") },
    { what: "of several lines", path: () => fileWith("s3cret\r\nx-other: s3cret") },
    { what: "of binary data", path: () => fileWith("s3cret\u0000\u{1F600}") },
  ])("in a file $what: nothing is known, and nothing sent", async ({ path }) => {
    const { url, sent } = await recorder();
    const seen = await look(url, { headerFiles: { "x-token": path() } });
    expect(seen).toMatchObject({ state: "unknown", reason: "file_unreadable" });
    expect(JSON.stringify(seen)).not.toContain("s3cret");
    expect(sent).toEqual([]);
  });
});

describe("a redirect", () => {
  /** Leads from /0 to /1 and so on up to /`last`, which is the end. */
  async function chain(last: number) {
    const asked: unknown[] = [];
    const url = await served(({ url = "", headers }, response) => {
      asked.push([url, headers["x-token"]]);
      const at = Number(url.slice(1));
      if (at < last) response.writeHead(302, { location: `/${at + 1}` });
      response.end("here");
    });
    return { url: `${url}/0`, asked };
  }

  test("is not followed", async () => {
    const { url, asked } = await chain(1);
    const seen = await look(url);
    expect(seen).toMatchObject({ reason: "unexpected_status", values: { http_status: 302 } });
    expect(seen.detail).toContain("redirects are not followed");
    expect(asked).toHaveLength(1);
  });

  test("is followed where that is asked for, with all headers, up to five times", async () => {
    const { url, asked } = await chain(5);
    const options = { followRedirects: true, headerFiles: { "x-token": fileWith("s3cret") } };
    expect(await look(url, { ...options, bodyPattern: "here" })).toMatchObject({ state: "up" });
    expect(asked).toEqual([0, 1, 2, 3, 4, 5].map((at) => [`/${at}`, "s3cret"]));
    const tooLong = await chain(6);
    const seen = await look(tooLong.url, options);
    expect(seen).toMatchObject({ reason: "unexpected_status", values: { http_status: 302 } });
    expect(seen.detail).toContain("after 5 redirects");
    expect(tooLong.asked).toHaveLength(6);
  });

  test.each([301, 303, 307, 308])("may be a %i", async (status) => {
    const url = await served(({ url }, response) => {
      if (url === "/") response.writeHead(status, { location: "there" });
      response.end();
    });
    expect(await look(`${url}/`, { followRedirects: true })).toMatchObject({ state: "up" });
  });

  test("is taken as it is where its status is expected", async () => {
    const { url, asked } = await chain(1);
    expect(await look(url, { followRedirects: true, status: 302 })).toMatchObject({ state: "up" });
    expect(asked).toHaveLength(1);
  });

  test("never takes what is in headers to another place", async () => {
    const asked: unknown[] = [];
    const elsewhere = await served(({ headers }, response) => {
      asked.push(headers);
      response.end();
    });
    const { port } = new URL(elsewhere);
    const locations = [
      elsewhere, // another port
      `http://localhost:${port}/`,
      `//127.0.0.1:${port}/`,
      `http://user:password@127.0.0.1:${port}/`,
      `https://localhost:${port}/`,
      "ftp://127.0.0.1/",
      "file:///etc/passwd",
      "http://",
      "",
    ];
    for (const location of locations.slice(0, -1)) {
      const url = await answering(302, "", { location });
      const seen = await look(url, {
        followRedirects: true,
        headerFiles: { "x-token": fileWith("s3cret") },
      });
      expect(seen).toMatchObject({ reason: "unexpected_status", values: { http_status: 302 } });
      expect(seen.detail).toContain("it leads elsewhere");
      expect(seen.detail).not.toContain(port);
    }
    expect(asked).toEqual([]);
  });
});

describe("by https", () => {
  const here = ["DNS:localhost", "IP:127.0.0.1"];
  let authority: Authority;
  let stranger: Authority;
  let server: Certificate;

  beforeAll(() => {
    authority = createAuthority(folder, { name: "site-ca" });
    stranger = createAuthority(folder, { name: "other-ca" });
    server = authority.issue({ name: "server", altNames: here });
  });

  async function secure(certificate: Certificate, options: TlsOptions = {}, listener?: RequestListener) {
    const own = { cert: readFileSync(certificate.certPath), key: readFileSync(certificate.keyPath) };
    const answer = listener ?? ((_request, response) => response.end("ok"));
    const port = await listeningPort(createSecureServer({ ...own, ...options }, answer));
    return `https://127.0.0.1:${port}/`;
  }

  test("with a private authority it is up, and tells the days that the certificate has left", async () => {
    const options = { tls: { caFile: authority.certPath }, bodyPattern: "ok" };
    expect(await look(await secure(server), options)).toEqual({
      state: "up",
      values: { http_status: 200, certificate_days_left: expect.closeTo(365, 1) },
    });
  });

  test.each([
    { what: "the system's authorities", tls: () => undefined },
    { what: "another authority", tls: () => ({ caFile: stranger.certPath }) },
    {
      what: "another name",
      tls: () => ({ caFile: authority.certPath, serverName: "other.example" }),
    },
  ])("with $what it is down, and is sent nothing", async ({ tls }) => {
    const asked = vi.fn<RequestListener>();
    const url = await secure(server, {}, asked);
    const seen = await look(url, { tls: tls(), headerFiles: { "x-token": fileWith("s3cret") } });
    expect(seen).toMatchObject({ state: "down", reason: "tls_failed" });
    expect(asked).not.toHaveBeenCalled();
  });

  test("with a certificate that has expired it is down", async () => {
    const [validFrom, validUntil] = [new Date("2020-01-01"), new Date("2020-02-01")];
    const url = await secure(authority.issue({ name: "expired", altNames: here, validFrom, validUntil }));
    const seen = await look(url, { tls: { caFile: authority.certPath } });
    expect(seen).toMatchObject({ state: "down", reason: "certificate_expired" });
  });

  test("a client certificate is shown to a server that demands one", async () => {
    const client = authority.issue({ name: "client" });
    const demand = { requestCert: true, ca: readFileSync(authority.certPath) };
    const url = await secure(server, demand);
    const caFile = authority.certPath;
    const own = { certFile: client.certPath, keyFile: client.keyPath };
    expect(await look(url, { tls: { caFile, ...own } })).toMatchObject({ state: "up" });
    expect(await look(url, { tls: { caFile } })).toMatchObject({ state: "down" });
  });

  test.each<{ what: string; tls: () => Options["tls"] }>([
    { what: "that does not exist", tls: () => ({ caFile: join(folder, "missing.crt") }) },
    { what: "that holds no authority", tls: () => ({ caFile: fileWith("half a certif") }) },
    {
      what: "that holds no certificate",
      tls: () => ({ certFile: server.keyPath, keyFile: server.keyPath }),
    },
    { what: "that holds no key", tls: () => ({ certFile: server.certPath, keyFile: server.certPath }) },
  ])("a file $what tells nothing of the server", async ({ tls }) => {
    const seen = await look(await secure(server), { tls: tls() });
    expect(seen).toMatchObject({ state: "unknown", reason: "file_unreadable" });
  });

  test("a redirect leads there from http on the same host, and never back", async () => {
    const url = await secure(server);
    const upgrade = await answering(301, "", { location: url });
    const options = { followRedirects: true, tls: { caFile: authority.certPath } };
    expect(await look(upgrade, options)).toMatchObject({
      state: "up",
      values: { certificate_days_left: expect.any(Number) },
    });
    const plain = await answering(200);
    const back = await secure(server, {}, (_request, response) => {
      response.writeHead(301, { location: plain }).end();
    });
    expect(await look(back, options)).toMatchObject({ reason: "unexpected_status" });
  });

  test("a server without TLS is down", async () => {
    const url = (await answering(200)).replace("http:", "https:");
    expect(await look(url)).toMatchObject({ state: "down", reason: "tls_failed" });
  });
});

describe("a peer", () => {
  test("where nobody listens is down", async () => {
    const server = net.createServer();
    const port = await listeningPort(server);
    await once(server.close(), "close");
    const seen = await look(`http://127.0.0.1:${port}`);
    expect(seen).toMatchObject({ state: "down", reason: "connection_refused" });
  });

  test("whose name nobody knows is down", async () => {
    const seen = await look("http://does-not-exist.invalid");
    expect(seen).toMatchObject({ state: "down", reason: "host_not_found" });
  });

  test.each([
    { what: "SSH", say: "SSH-2.0-OpenSSH_9.9\r\n" },
    { what: "endless headers", say: `HTTP/1.1 200 OK\r\n${"x-more: and more\r\n".repeat(2_000)}` },
    { what: "two lengths", say: "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx" },
    {
      what: "a protocol that was not asked for",
      say: "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    },
  ])("that speaks $what is down", async ({ say }) => {
    const url = await peer((socket) => socket.write(say));
    expect(await look(url)).toMatchObject({ state: "down", reason: "protocol_error" });
  });

  test("that speaks something else in the middle of a body is down", async () => {
    const say = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n";
    const seen = await look(await peer((socket) => socket.write(say)), { bodyPattern: "ok" });
    expect(seen).toMatchObject({ state: "down", reason: "protocol_error" });
  });

  test("that hangs up is down", async () => {
    const seen = await look(await peer((socket) => socket.end()));
    expect(seen).toMatchObject({ state: "down", reason: "connection_reset" });
  });

  test.each<{ what: string; first: string; piece: string }>([
    { what: "nothing", first: "", piece: "" },
    { what: "one header after the other", first: "HTTP/1.1 200 OK\r\n", piece: "x: y\r\n" },
    { what: "early hints for ever", first: "", piece: "HTTP/1.1 103 Early Hints\r\n\r\n" },
    {
      what: "a body that trickles",
      first: "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n",
      piece: "x",
    },
  ])("that sends $what is cut off by the signal, and left", async ({ first, piece }) => {
    const closed = vi.fn<() => void>();
    const url = await peer((socket) => {
      socket.write(first);
      const timer = setInterval(() => socket.write(piece), 20);
      socket.on("close", () => {
        clearInterval(timer);
        closed();
      });
    });
    const startedMs = performance.now();
    const seen = await look(url, { bodyPattern: "ok" }, AbortSignal.timeout(300));
    expect(seen).toMatchObject({ state: "down", reason: "timeout" });
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce());
  });

  test("finds its connection closed after each look", async () => {
    const closed = vi.fn<() => void>();
    const url = await peer((socket) => {
      socket.on("close", closed);
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok");
    });
    expect(await look(url, { bodyPattern: "ok" })).toMatchObject({ state: "up" });
    expect(await look(url)).toMatchObject({ state: "up" });
    await vi.waitFor(() => expect(closed).toHaveBeenCalledTimes(2));
  });
});

describe("options that are refused", () => {
  const url = "https://web.example/health";

  test.each<{ given: Record<string, unknown>; problem: string }>([
    { given: { url: "web.example" }, problem: "url: expected an http or https URL" },
    { given: { url: "ftp://web.example" }, problem: "url: expected an http or https URL" },
    { given: { url: "https://me:s3cret@web.example" }, problem: "url: has a user or password in it" },
    { given: { url: "https://me@web.example" }, problem: "url: has a user or password in it" },
    { given: { url, method: "POST" }, problem: "method: expected GET, HEAD or OPTIONS" },
    { given: { url, status: "2x" }, problem: "status: expected a status" },
    { given: { url, status: 99 }, problem: "status: expected a status" },
    { given: { url, status: 200.5 }, problem: "status: expected a status" },
    { given: { url, status: "299-200" }, problem: "status: expected a status" },
    { given: { url, status: [] }, problem: "status: is empty" },
    { given: { url, status: ["2xx", "9xx"] }, problem: "status: expected a status" },
    { given: { url, bodyPattern: "(" }, problem: "bodyPattern: is not usable as a pattern: missing )" },
    { given: { url, json: { path: "a..b" } }, problem: "json.path: expected a path" },
    { given: { url, json: { path: "a[b]" } }, problem: "json.path: expected a path" },
    { given: { url, json: { path: "a", value: {} } }, problem: "json.value: expected a text" },
    { given: { url, method: "HEAD", json: { path: "a" } }, problem: "json: the answer to HEAD has no body" },
    { given: { url, method: "HEAD", bodyPattern: "a" }, problem: "bodyPattern: the answer to HEAD" },
    { given: { url, headers: { Cookie: "s3cret" } }, problem: "headers.Cookie: is a secret" },
    { given: { url, headers: { AUTHORIZATION: "s3cret" } }, problem: "headers.AUTHORIZATION: is a secret" },
    { given: { url, headers: { "content-length": "5" } }, problem: "headers.content-length: is set by" },
    { given: { url, headers: { "a b": "c" } }, problem: "headers.a b: is no name of a header" },
    { given: { url, headers: { a: "s3cret\nx" } }, problem: "headers.a: has a character in it" },
    { given: { url, headers: { a: "b", A: "c" } }, problem: "headers: has a header twice" },
    { given: { url, headers: { a: "b" }, headerFiles: { A: "/c" } }, problem: "headerFiles: has a header" },
    { given: { url, headerFiles: { a: "c" } }, problem: "headerFiles.a: expected an absolute path" },
    { given: { url, tls: true }, problem: "tls: " },
    { given: { url: "http://web.example", tls: {} }, problem: "tls: is for an https URL" },
    { given: { url, tls: { certFile: "/c" } }, problem: "tls: needs both" },
    { given: { url, followRedirect: true }, problem: ": Unrecognized key" },
  ])("$problem", ({ given, problem }) => {
    const parsed = http.options.safeParse(given);
    const problems = parsed.error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    expect(problems).toEqual([expect.stringContaining(problem)]);
    expect(JSON.stringify(problems)).not.toContain("s3cret");
  });

  test("are the only ones: what all of them mean is told where nothing is said", () => {
    expect(http.options.parse({ url })).toEqual({
      url,
      method: "GET",
      status: [{ least: 200, most: 299 }],
      headers: {},
      headerFiles: {},
      followRedirects: false,
    });
  });
});
