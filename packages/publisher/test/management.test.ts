import http from "node:http";
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { management, ManagementError } from "../src/probes/management.ts";

const soon = () => AbortSignal.timeout(5_000);

/** RabbitMQ 3.10 with `management_agent.disable_metrics_collector = true`, as it was seen to answer. */
const WITHOUT_STATISTICS: Record<string, { status: number; body: string }> = {
  "/api/whoami": { status: 200, body: '{"name":"guest","tags":["administrator"]}' },
  "/api/consumers/%2F": {
    status: 400,
    body: '{"error":"bad_request","reason":"Stats in management UI are disabled on this node"}',
  },
  "/api/queues/%2F": { status: 200, body: '[{"name":"inbox"}]' },
  "/api/queues/%2F/inbox": { status: 200, body: '{"name":"inbox"}' },
};
const NOT_FOUND = { status: 404, body: '{"error":"Object Not Found","reason":"Not Found"}' };

describe("with the statistics switched off", () => {
  async function api() {
    const { api } = await apiAt((path) => WITHOUT_STATISTICS[path] ?? NOT_FOUND);
    return api;
  }

  test("who sees what and which queues there are can be asked for, their consumers cannot", async () => {
    const { seesAllConsumers, queues, consumers, consumersOf } = await api();
    expect(await seesAllConsumers(soon())).toBe(true);
    expect(await queues(soon())).toEqual(new Set(["inbox"]));
    await expect(consumers(soon())).rejects.toMatchObject({ reason: "statistics_disabled" });
    await expect(consumersOf("inbox", soon())).rejects.toMatchObject({ reason: "statistics_disabled" });
  });

  test("a queue that does not exist is still told", async () => {
    expect(await (await api()).consumersOf("gone", soon())).toBeUndefined();
  });
});

describe("an answer that tells nothing", () => {
  const consumer = '{"queue":{"name":"inbox"},"consumer_tag":"a","activity_status":"up"}';
  const rows = [
    {
      what: "a wrong password",
      status: 401,
      body: '{"error":"not_authorized"}',
      reason: "management_refused",
    },
    { what: "a user without tags", status: 403, body: "", reason: "management_refused" },
    { what: "a bad request", status: 400, body: '{"error":"bad_request"}', reason: "management_failed" },
    { what: "a server error", status: 500, body: "oops", reason: "management_failed" },
    { what: "a broker that is starting", status: 503, body: "", reason: "management_failed" },
    { what: "a redirect", status: 301, body: "", reason: "management_failed" },
    { what: "somebody else's 404", status: 404, body: "<h1>Not Found</h1>", reason: "management_failed" },
    { what: "no JSON", status: 200, body: "<html>", reason: "management_failed" },
    { what: "nothing", status: 200, body: "", reason: "management_failed" },
    { what: "null", status: 200, body: "null", reason: "management_failed" },
    { what: "JSON of another kind", status: 200, body: '{"tags":7,"name":{}}', reason: "management_failed" },
    { what: "half an answer", status: 200, body: `[${consumer},{}]`, reason: "management_failed" },
  ];
  test.each(rows)("$what is $reason", async ({ status, body, reason }) => {
    const { api } = await apiAt(() => ({ status, body }));
    await expect(api.consumersOf("inbox", soon())).rejects.toMatchObject({ reason });
    await expect(api.consumers(soon())).rejects.toMatchObject({ reason });
    await expect(api.queues(soon())).rejects.toMatchObject({ reason });
    await expect(api.seesAllConsumers(soon())).rejects.toMatchObject({ reason });
  });

  test("another queue than the one asked for, as of a proxy that decodes too much", async () => {
    const { api } = await apiAt(() => ({ status: 200, body: '{"name":"a/b","consumer_details":[]}' }));
    await expect(api.consumersOf("a%2Fb", soon())).rejects.toMatchObject({ reason: "management_failed" });
    expect(await api.consumersOf("a/b", soon())).toEqual([]);
  });

  test("a missing vhost, for everything but a queue in it", async () => {
    const { api } = await apiAt(() => NOT_FOUND);
    await expect(api.consumers(soon())).rejects.toMatchObject({ reason: "management_failed" });
    await expect(api.queues(soon())).rejects.toMatchObject({ reason: "management_failed" });
    expect(await api.consumersOf("inbox", soon())).toBeUndefined();
  });

  test.each([".", ".."])(
    "of a vhost %s, whose address would be another one, nothing is asked",
    async (vhost) => {
      const { api, asked } = await apiAt(() => ({ status: 200, body: "[]" }), vhost);
      await expect(api.consumers(soon())).rejects.toMatchObject({ reason: "management_failed" });
      expect(asked).toEqual([]);
    },
  );
});

test("what a refusal repeats of the request is told without the credentials", async () => {
  const url = await server((request, response) => {
    response.writeHead(502).end(`bad request: ${JSON.stringify(request.headers)}, guest:p+ss`);
  });
  const api = management({ ...settings, password: "p+ss", url });
  onTestFinished(() => api.close());
  const error = await api.queues(soon()).catch(String);
  expect(error).toContain('answered 502: bad request: {"authorization":"Basic (credentials)"');
  expect(error).not.toMatch(/p\+ss|Z3Vlc3Q6/);
});

test("nobody at the port is told as such", async () => {
  const api = management({ ...settings, url: "http://127.0.0.1:1" });
  await expect(api.queues(soon())).rejects.toMatchObject({ reason: "management_unreachable" });
});

test.each([
  { what: "accepting and never answering", begin: false },
  { what: "an answer that never ends", begin: true },
])("$what costs no more than the time-out", async ({ begin }) => {
  const url = await server((_request, response) => void (begin && response.writeHead(200).write("[")));
  const api = management({ ...settings, url });
  onTestFinished(() => api.close());
  const startedMs = performance.now();
  const asked = api.consumers(AbortSignal.timeout(300));
  await expect(asked).rejects.toBeInstanceOf(ManagementError);
  await expect(asked).rejects.toMatchObject({ reason: "timeout" });
  expect(performance.now() - startedMs).toBeLessThan(2_000);
});

const settings = { user: "guest", password: "guest", vhost: "/", tls: undefined };

/** A client of an API that answers as told, by path. */
test("replies that never end take no connection for ever", async () => {
  let isEndless = true;
  const url = await server((_request, response) => {
    if (!isEndless) return response.end("[]");
    response.writeHead(200);
    const chunk = Buffer.alloc(1024 * 1024, " ");
    const write = () => void response.write(chunk);
    response.on("drain", write);
    return write();
  });
  const api = management({ ...settings, url });
  onTestFinished(() => api.close());
  // More than the connections that there are.
  const never = new AbortController().signal;
  const endless = Array.from({ length: 10 }, () => api.consumers(never));
  for (const asked of await Promise.allSettled(endless)) expect(asked.status).toBe("rejected");
  isEndless = false;
  expect(await api.consumers(soon())).toEqual([]);
}, 15_000);

async function apiAt(answer: (path: string) => { status: number; body: string }, vhost = "/") {
  const asked: string[] = [];
  const url = await server((request, response) => {
    const { pathname } = new URL(`http://localhost${request.url}`);
    asked.push(pathname);
    const { status, body } = answer(pathname);
    response.writeHead(status).end(body);
  });
  const api = management({ ...settings, url, vhost });
  onTestFinished(() => api.close());
  return { api, asked };
}

async function server(onRequest: http.RequestListener): Promise<string> {
  const created = http.createServer(onRequest).listen(0, "127.0.0.1");
  onTestFinished(() => {
    created.closeAllConnections();
    created.close();
  });
  await once(created, "listening");
  const address = created.address();
  return `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
}

test("an API that switches to another protocol is told at once", async () => {
  const server = http.createServer().on("connection", (socket) => {
    socket.once("data", () =>
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
    );
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const settings = { url: `http://127.0.0.1:${port}`, user: "u", password: "p", vhost: "/", tls: undefined };
  const api = management(settings);
  onTestFinished(() => api.close());
  await expect(api.queues(soon())).rejects.toMatchObject({ reason: "management_unreachable" });
});
