import net from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { listeningApp, verdictWith } from "./listening-app.ts";

const TOKEN = "hunter2-hunter2-hunter2";
const bearer = { authorization: `Bearer ${TOKEN}` };
const basic = { authorization: `Basic ${btoa(`me:${TOKEN}`)}` };
const wrong = { authorization: "Bearer hunter3-hunter3-hunter3" };

const CHALLENGE = 'Bearer realm="pipeline-heartbeat", Basic realm="pipeline-heartbeat", charset="UTF-8"';
const UNAUTHORIZED = '{"error":"unauthorized"}';

describe("with a token", () => {
  test.each([
    { path: "/livez", without: 200, with: 200, wrong: 200 },
    { path: "/readyz", without: 200, with: 200, wrong: 200 },
    { path: "/livez?x", method: "HEAD", without: 200, with: 200, wrong: 200 },
    { path: "/health", without: 200, with: 200, wrong: 401 },
    { path: "/health", method: "HEAD", without: 200, with: 200, wrong: 401 },
    { path: "/health?x=/livez", without: 200, with: 200, wrong: 401 },
    { path: "/heartbeat", without: 401, with: 200, wrong: 401 },
    { path: "/metrics", without: 401, with: 200, wrong: 401 },
    { path: "/metrics", method: "HEAD", without: 401, with: 200, wrong: 401 },
    { path: "/", without: 401, with: 404, wrong: 401 },
    { path: "/livez/", without: 401, with: 404, wrong: 401 },
    { path: "//livez", without: 401, with: 404, wrong: 401 },
    { path: "/LIVEZ", without: 401, with: 404, wrong: 401 },
    { path: "/livez/../metrics", without: 401, with: 404, wrong: 401 },
    { path: "/health/", without: 401, with: 404, wrong: 401 },
    { path: "/health;x", without: 401, with: 404, wrong: 401 },
    { path: "/%6dnope", without: 401, with: 404, wrong: 401 },
    { path: "/%6detrics", without: 401, with: 200, wrong: 401 },
    { path: "/%", without: 400, with: 400, wrong: 400 },
    { path: "/health", method: "POST", without: 401, with: 404, wrong: 401 },
    { path: "/livez", method: "POST", without: 401, with: 404, wrong: 401 },
    { path: "/metrics", method: "OPTIONS", without: 401, with: 404, wrong: 401 },
    { path: "/metrics", method: "TRACE", without: 401, with: 404, wrong: 401 },
    { path: "/metrics", method: "DELETE", without: 401, with: 404, wrong: 401 },
    { path: "/metrics", method: "PROPFIND", without: 401, with: 404, wrong: 401 },
  ])("$method $path: without it $without, with it $with, with a wrong one $wrong", async (row) => {
    const { ask } = await listeningApp({ apiToken: TOKEN });
    const codes = { without: {}, bearer, basic, wrong };
    for (const [name, headers] of Object.entries(codes)) {
      const answer = await ask({ ...row, headers });
      const expected = name === "wrong" ? row.wrong : name === "without" ? row.without : row.with;
      expect([name, answer.statusCode]).toEqual([name, expected]);
      expect(answer.headers["www-authenticate"]).toBe(expected === 401 ? CHALLENGE : undefined);
      expect(answer.headers).toMatchObject({
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
      });
      if (expected === 401) expect(answer.body).toBe(row.method === "HEAD" ? "" : UNAUTHORIZED);
      if (expected >= 400) expect(answer.body.length).toBeLessThan(30);
    }
  });

  test.each([
    { what: "passes", isHealthy: true, code: 200, status: "pass" },
    { what: "fails", isHealthy: false, code: 503, status: "fail" },
    { what: "cannot be told", isHealthy: undefined, code: 503, status: "fail" },
  ])("/health that $what tells strangers so, and nothing else", async ({ isHealthy, code, status }) => {
    const currentVerdict = async () => {
      if (isHealthy === undefined) throw new Error("redis is away");
      return { ...verdictWith(["sda-db"]), isHealthy };
    };
    const { ask } = await listeningApp({ apiToken: TOKEN, currentVerdict });
    const stranger = await ask({ path: "/health" });
    expect(stranger).toMatchObject({ statusCode: code, body: JSON.stringify({ status }) });
    const known = await ask({ path: "/health", headers: basic });
    expect(known.statusCode).toBe(code);
    expect(JSON.parse(known.body)).toMatchObject({ status, problems: expect.any(Array) });
    const names = ({ headers }: typeof known) => Object.keys(headers).toSorted();
    expect(names(stranger)).toEqual(names(known));
    const head = await ask({ path: "/health", method: "HEAD" });
    expect(head.headers["content-length"]).toBe(stranger.headers["content-length"]);
  });

  test("a second Authorization header does not help the first", async () => {
    const { app } = await listeningApp({ apiToken: TOKEN });
    const [first, second] = [wrong.authorization, bearer.authorization];
    const answer = await app.inject({ url: "/metrics", headers: { authorization: `${first}, ${second}` } });
    expect(answer.statusCode).toBe(401);
  });
});

test.each(["/health", "/heartbeat", "/metrics"])("without a token everybody may read %s", async (path) => {
  const { ask } = await listeningApp();
  for (const headers of [{}, bearer]) {
    expect(await ask({ path, headers })).toMatchObject({
      statusCode: 200,
      body: expect.stringContaining("db"),
    });
  }
});

describe("who guesses", () => {
  test("is sent away after twenty wrong tokens, even with a right one, and alone", async () => {
    const { ask, lines } = await listeningApp({ apiToken: TOKEN });
    for (let guess = 1; guess <= 20; guess += 1) {
      const headers = { authorization: guess % 2 ? `Bearer ${guess}` : `Basic ${btoa(`:${guess}`)}` };
      expect((await ask({ path: "/metrics", headers })).statusCode).toBe(401);
    }
    for (const headers of [wrong, bearer]) {
      for (const path of ["/metrics", "/health", "/nowhere"]) {
        const answer = await ask({ path, headers });
        expect(answer).toMatchObject({ statusCode: 429, body: '{"error":"too many requests"}' });
        expect(Number(answer.headers["retry-after"])).toBeGreaterThan(50);
        expect(Number(answer.headers["retry-after"])).toBeLessThanOrEqual(60);
      }
    }
    expect((await ask({ path: "/health" })).statusCode).toBe(200);
    expect((await ask({ path: "/readyz", headers: wrong })).statusCode).toBe(200);
    expect((await ask({ path: "/metrics", headers: bearer, from: "127.0.0.2" })).statusCode).toBe(200);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: 40,
      address: "127.0.0.1",
      msg: "too many wrong API tokens",
    });
    expect(lines[0]).not.toContain("hunter");
  });

  test("in one breath is sent away as well", async () => {
    const { host, port } = await listeningApp({ apiToken: TOKEN });
    const tokens = [...Array.from({ length: 40 }, (_, guess) => `guess-${guess}`), TOKEN];
    const socket = net.connect({ host, port });
    onTestFinished(() => void socket.destroy());
    socket.write(
      tokens
        .map((token) => `GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${token}\r\n\r\n`)
        .join(""),
    );
    let heard = "";
    socket.on("data", (data) => (heard += data.toString()));
    const codes = () => [...heard.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, code]) => code);
    await vi.waitFor(() => expect(codes()).toHaveLength(tokens.length));
    expect(codes()).toEqual([...Array<string>(20).fill("401"), ...Array<string>(21).fill("429")]);
  });

  test("is not who shows nothing, or the right token", async () => {
    const { ask } = await listeningApp({ apiToken: TOKEN });
    for (let asked = 0; asked < 30; asked += 1) {
      expect((await ask({ path: "/metrics" })).statusCode).toBe(401);
      expect((await ask({ path: "/metrics", headers: bearer })).statusCode).toBe(200);
    }
  });
});

describe("an answer", () => {
  test("is nothing to run, frame, keep, guess at or pass on", async () => {
    const { ask } = await listeningApp();
    const { headers } = await ask({ path: "/health" });
    expect(headers).toMatchObject({
      "cache-control": "no-store",
      "content-security-policy": expect.stringMatching(/^default-src 'none'; .*frame-ancestors 'none'$/),
      "content-type": "application/json; charset=utf-8",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
    });
    for (const name of [
      "server",
      "x-powered-by",
      "strict-transport-security",
      "access-control-allow-origin",
    ]) {
      expect(headers[name]).toBeUndefined();
    }
  });

  test("to a request that makes us fail is plain, and the failure is logged once", async () => {
    const unreadyReasons = () => Promise.reject(new Error("at /opt/secret.js: hunter2"));
    const { ask, lines } = await listeningApp({ unreadyReasons });
    for (let asked = 0; asked < 20; asked += 1) {
      const answer = await ask({ path: "/readyz" });
      expect(answer).toMatchObject({ statusCode: 500, body: '{"error":"internal server error"}' });
      expect(answer.headers).toMatchObject({
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
      });
    }
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: 50, err: { stack: expect.any(String) } });
  });

  test.each([
    { what: "a body that is too long", type: "application/json", body: `"${"x".repeat(2_000)}"`, code: 413 },
    { what: "a body that is no JSON", type: "application/json", body: "{", code: 400 },
    { what: "a body of an unknown type", type: "text/x-unknown", body: "x", code: 404 },
  ])("to $what is plain", async ({ type, body, code }) => {
    const { ask, lines } = await listeningApp();
    const answer = await ask({ path: "/health", method: "POST", headers: { "content-type": type }, body });
    expect(answer.statusCode).toBe(code);
    expect(Object.keys(JSON.parse(answer.body))).toEqual(["error"]);
    expect(lines).toEqual([]);
  });
});

test("names from heartbeats stay text in every answer", async () => {
  const names = [
    "<script>alert(1)</script>",
    '"} 1\nheartbeat_healthy 1',
    "\u001B[2J\u009B31m",
    "\u2028\u2029\u202E\0",
    "</pre>&amp;'\"`",
  ];
  const { ask } = await listeningApp({ currentVerdict: async () => verdictWith(names) });
  for (const path of ["/health", "/heartbeat"]) {
    const { body, headers } = await ask({ path });
    expect(headers).toMatchObject({
      "content-type": "application/json; charset=utf-8",
      "x-content-type-options": "nosniff",
    });
    const { sites, services } = JSON.parse(body);
    const told: { name: string }[] = services ?? sites[0].components;
    expect(told.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
  }
  const { body, headers } = await ask({ path: "/metrics" });
  expect(headers).toMatchObject({ "content-type": expect.stringMatching(/^text\/plain;/) });
  expect(body.match(/^heartbeat_healthy /gm)).toHaveLength(1);
});
