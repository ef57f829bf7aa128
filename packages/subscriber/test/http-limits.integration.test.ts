import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { listeningApp, verdictWith } from "./listening-app.ts";
import { secureApp } from "./secure-app.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

interface Talk {
  readonly socket: net.Socket;
  /** All that came back, once the connection has ended. */
  readonly heard: Promise<string>;
}

/** Connects, sends what it is given and listens. */
function talk({ host, port }: Address, words: string, from = "127.0.0.1"): Talk {
  const socket = net.connect({ host, port, localAddress: from });
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {}); // a reset is an end as well
  socket.write(words);
  let heard = "";
  socket.on("data", (data) => (heard += data.toString()));
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return { socket, heard: closed.then(() => heard) };
}

/** More than the system takes off our hands for a client that does not read. */
function longVerdict() {
  return verdictWith(Array.from({ length: 14 }, (_, index) => `${index}-${"x".repeat(1_000_000)}`));
}

describe("a caller", () => {
  test("who never comes to an end is sent away in time", async () => {
    const [plain, secure] = [await listeningApp(), await secureApp()];
    const current = longVerdict();
    const large = await listeningApp({ currentVerdict: async () => current });

    const post = "POST /health HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    const dripping = talk(plain, "GET /livez HTTP/1.1\r\nx: ");
    const drip = setInterval(() => dripping.socket.write("x"), 200);
    onTestFinished(() => clearInterval(drip));
    const taking = once(large.app.server, "connection");
    talk(large, "GET /health HTTP/1.1\r\nhost: a\r\n\r\n").socket.pause();
    const [taken]: net.Socket[] = await taking;
    if (!taken) throw new Error("no connection");
    const unsent = new Promise<string>((resolve) => taken.once("close", () => resolve("")));

    const slow = {
      "says nothing": talk(plain, ""),
      "never ends a header": dripping,
      "never ends the headers": talk(plain, "GET /livez HTTP/1.1\r\nhost: a\r\n"),
      "never ends the body": talk(plain, `${post}content-length: 100\r\n\r\n{`),
      "never ends the chunks": talk(plain, `${post}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n`),
      "takes nothing of the answer": { socket: taken, heard: unsent },
      "never ends the handshake": talk(secure, "\u0016\u0003\u0001"),
    };
    for (const [who, talk] of Object.entries(slow)) {
      expect([who, await talk.heard]).toEqual([who, expect.stringMatching(/^(HTTP\/1.1 408 |$)/)]);
    }
    for (const { ask } of [plain, large]) expect((await ask({ path: "/livez" })).statusCode).toBe(200);
  }, 20_000);

  test.each([
    { what: "endless headers", words: `GET /livez HTTP/1.1\r\nx: ${"x".repeat(20_000)}\r\n\r\n`, code: 431 },
    { what: "an endless address", words: `GET /${"x".repeat(20_000)} HTTP/1.1\r\n\r\n`, code: 431 },
    { what: "no HTTP", words: "\u0016\u0003\u0001 hello\r\n\r\n", code: 400 },
    {
      what: "two lengths",
      words: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
      code: 400,
    },
    {
      what: "a length and chunks",
      words: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      code: 400,
    },
    { what: "no host", words: "GET /livez HTTP/1.1\r\n\r\n", code: 400 },
  ])("who sends $what is told so without details, and harms nobody", async ({ words, code }) => {
    const { host, port, ask, lines } = await listeningApp();
    const heard = await talk({ host, port }, words).heard;
    expect(heard.slice(0, 12)).toBe(`HTTP/1.1 ${code}`);
    expect(heard).not.toMatch(/node|fastify|HPE_|\.js|\bat /i);
    expect((await ask({ path: "/livez" })).statusCode).toBe(200);
    expect(lines).toEqual([]);
  });
});

describe("many requests of one address", () => {
  test("are refused when they are too many, and the probes and others are not", async () => {
    const { ask } = await listeningApp();
    const agent = new http.Agent({ keepAlive: true, maxSockets: 50 });
    onTestFinished(() => agent.destroy());
    const codes: (number | undefined)[] = [];
    const refusals: Awaited<ReturnType<typeof ask>>[] = [];
    const flood = Promise.all(
      Array.from({ length: 10_000 }, async (_, index) => {
        const answer = await ask({ path: index % 2 === 0 ? "/health" : "/nowhere", agent });
        codes.push(answer.statusCode);
        if (answer.statusCode === 429) refusals.push(answer);
      }),
    ).then(() => "over");

    const probes: { statusCode: number | undefined; tookMs: number }[] = [];
    while ((await Promise.race([flood, sleep(10)])) !== "over") {
      const startedMs = performance.now();
      const { statusCode } = await ask({ path: "/readyz" });
      probes.push({ statusCode, tookMs: performance.now() - startedMs });
    }
    expect(probes.length).toBeGreaterThan(5);
    expect(probes.filter(({ statusCode }) => statusCode !== 200)).toEqual([]);
    expect(Math.max(...probes.map(({ tookMs }) => tookMs))).toBeLessThan(2_000);

    expect(new Set(codes)).toEqual(new Set([200, 404, 429]));
    // So many are let through in each ten seconds that this machine takes for them.
    expect(codes.length - refusals.length).toBeGreaterThanOrEqual(500);
    expect(refusals.length).toBeGreaterThan(5_000);
    for (const { headers, body } of refusals) {
      expect(body).toBe('{"error":"too many requests"}');
      expect(headers["retry-after"]).toMatch(/^([1-9]|10)$/);
    }
    for (const path of ["/health", "/metrics"]) {
      expect((await ask({ path, from: "127.0.0.2" })).statusCode).toBe(200);
    }
    for (let asked = 0; asked < 600; asked += 1) {
      expect((await ask({ path: "/livez", from: "127.0.0.3", agent })).statusCode).toBe(200);
    }
    expect((await ask({ path: "/health", from: "127.0.0.3" })).statusCode).toBe(200);
  });

  test("are read from the store a few times only, and never before they were asked", async () => {
    let begun = 0;
    const released = Promise.withResolvers<void>();
    const { app, ask } = await listeningApp({
      currentVerdict: async () => {
        begun += 1;
        const name = `begun-${begun}`;
        await released.promise;
        return verdictWith([name]);
      },
    });
    let asked = 0;
    app.server.on("request", () => (asked += 1));
    const first = ask({ path: "/health" });
    await vi.waitFor(() => expect(begun).toBe(1));
    const others = Array.from({ length: 100 }, () => ask({ path: "/health" }));
    await vi.waitFor(() => expect(asked).toBe(101), { timeout: 5_000 });
    released.resolve();
    expect((await first).body).toContain('"begun-1"');
    for (const { body } of await Promise.all(others)) expect(body).not.toContain('"begun-1"');
    expect(begun).toBeLessThan(60);
  });
});

describe("many connections", () => {
  test("of one address cost it its oldest ones, and nobody else theirs", async () => {
    const { host, port, ask } = await listeningApp();
    const other = talk({ host, port }, "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n", "127.0.0.2");
    await once(other.socket, "data");
    const talks: Talk[] = [];
    for (let opened = 0; opened < 300; opened += 1) {
      const silent = talk({ host, port }, "");
      await once(silent.socket, "connect");
      talks.push(silent);
    }
    for (const from of ["127.0.0.1", "127.0.0.3"]) {
      expect((await ask({ path: "/readyz", from })).statusCode).toBe(200);
    }
    const open = () => talks.filter(({ socket }) => !socket.destroyed).length;
    await vi.waitFor(() => expect(open()).toBeLessThan(256));
    expect(open()).toBeGreaterThan(200);
    expect(talks[0]?.socket.destroyed).toBe(true);
    expect(talks.at(-1)?.socket.destroyed).toBe(false);
    expect(other.socket.destroyed).toBe(false);
  });

  test("whose long answers nobody takes are ended before they fill the memory", async () => {
    const current = longVerdict();
    const { app, host, port, ask } = await listeningApp({ currentVerdict: async () => current });
    const { body } = await ask({ path: "/health", from: "127.0.0.2" });
    const most = Math.floor((64 * 1024 * 1024) / body.length);
    expect(most).toBeGreaterThan(2);
    const sockets: net.Socket[] = [];
    app.server.on("connection", (socket) => void sockets.push(socket));
    for (let opened = 0; opened < 3 * most; opened += 1) {
      talk({ host, port }, "GET /health HTTP/1.1\r\nhost: a\r\n\r\n").socket.pause();
    }
    const unsent = () => sockets.filter(({ destroyed }) => !destroyed).length;
    await vi.waitFor(() => expect(sockets.length).toBe(3 * most), { timeout: 4_000 });
    await vi.waitFor(() => expect(unsent()).toBeLessThanOrEqual(most), { timeout: 4_000 });
    expect((await ask({ path: "/readyz" })).statusCode).toBe(200);
  });
});

test("a stop ends every connection at once", async () => {
  const { app, host, port } = await listeningApp();
  const talks = ["", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n"].map((words) =>
    talk({ host, port }, words),
  );
  await Promise.all(talks.map(({ socket }) => once(socket, "connect")));
  const startedMs = performance.now();
  await app.close();
  await Promise.all(talks.map(({ heard }) => heard));
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});
