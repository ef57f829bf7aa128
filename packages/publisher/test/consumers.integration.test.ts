import http from "node:http";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { connect } from "amqplib";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { freshVhost } from "../../../test/fresh.ts";
import { consumersProbe, type QueueTarget } from "../src/probes/consumers.ts";
import { management, ManagementError } from "../src/probes/management.ts";

const queues: QueueTarget[] = ["inbox", "ingest", "archived"].map((queue) => ({
  queue,
  listeners: [{ name: `worker-${queue}`, matches: (tag) => tag.includes(`worker-${queue}`) }],
}));

/** The management API's address, as a given user sees it. */
function apiSettings(vhost: string, credentials = inject("rabbitmq") as { user: string; password: string }) {
  const { host, managementPort } = inject("rabbitmq");
  const { user, password } = credentials;
  return { url: `http://${host}:${managementPort}`, user, password, vhost, tls: undefined };
}

async function put(path: string, body: object): Promise<void> {
  const { user, password, host, managementPort } = inject("rabbitmq");
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const request = {
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify(body),
  };
  const url = `http://${host}:${managementPort}/api/${path}`;
  const response = await fetch(url, { ...request, method: "PUT" });
  expect(response.ok, `PUT ${path}: ${response.status}`).toBe(true);
  if (path.startsWith("users/")) {
    onTestFinished(async () => void (await fetch(url, { headers: { authorization }, method: "DELETE" })));
  }
}

/** A vhost with the three queues and a worker on each, as another user than those who look. */
async function pipeline() {
  const { name: vhost, amqpUrl } = await freshVhost();
  const connection = await connect(amqpUrl);
  onTestFinished(() => connection.close().catch(() => {})); // the test may have closed it
  const channel = await connection.createChannel();
  for (const { queue } of queues) {
    await channel.assertQueue(queue);
    await channel.consume(queue, () => {}, { consumerTag: `ctag-/app/worker-${queue}-1` });
  }
  return { vhost, channel };
}

/** A user with these tags who may enter the vhost, and do nothing in it. */
async function userIn(vhost: string, tags: string) {
  const credentials = { user: `looker-${randomBytes(6).toString("hex")}`, password: "p:ä%/" };
  await put(`users/${credentials.user}`, { password: credentials.password, tags });
  await put(`permissions/${vhost}/${credentials.user}`, { configure: "^$", write: "^$", read: "^$" });
  return credentials;
}

function probeOf(settings: ReturnType<typeof apiSettings>) {
  const api = management(settings);
  onTestFinished(() => api.close());
  return consumersProbe({ queues, management: api, brokerConnectedAtMs: () => 0, now: Date.now });
}

const soon = () => AbortSignal.timeout(5_000);

describe("on a real management API", () => {
  test.each(["administrator", "monitoring", "management"])(
    "a user with the tag %s sees the workers of others",
    async (tag) => {
      const { vhost } = await pipeline();
      const probe = probeOf(apiSettings(vhost, await userIn(vhost, tag)));
      // The statistics lag behind by up to five seconds.
      await vi.waitFor(
        async () => expect((await probe.look(soon())).map(({ state }) => state)).toEqual(Array(6).fill("up")),
        { timeout: 15_000, interval: 200 },
      );
    },
  );

  test("a worker that is gone, a queue that is gone and a worker that is back are seen", async () => {
    const { vhost, channel } = await pipeline();
    const probe = probeOf(apiSettings(vhost));
    const expectStates = async (states: string[]) =>
      await vi.waitFor(
        async () => expect((await probe.look(soon())).map(({ state }) => state)).toEqual(states),
        {
          timeout: 15_000,
          interval: 200,
        },
      );
    await expectStates(["up", "up", "up", "up", "up", "up"]);
    await channel.cancel("ctag-/app/worker-ingest-1");
    await channel.deleteQueue("archived");
    await expectStates(["up", "up", "down", "down", "down", "down"]);
    const reasons = (await probe.look(soon())).map(({ reason }) => reason);
    expect(reasons[2]).toBe("consumer_missing");
    expect(reasons[4]).toBe("queue_missing");
    await channel.consume("ingest", () => {}, { consumerTag: "ctag-/app/worker-ingest-2" });
    await expectStates(["up", "up", "up", "up", "down", "down"]);
  });

  test("a wrong password, a vhost that does not exist and a dead port are told apart from down", async () => {
    const { vhost } = await pipeline();
    const { user } = await userIn(vhost, "monitoring");
    const reasonWith = async (settings: ReturnType<typeof apiSettings>) =>
      (await probeOf(settings).look(soon()))[0]?.reason;
    expect(await reasonWith(apiSettings(vhost, { user, password: "wrong" }))).toBe("management_refused");
    expect(await reasonWith({ ...apiSettings(vhost), url: "http://127.0.0.1:1" })).toBe(
      "management_unreachable",
    );
    expect(await reasonWith(apiSettings("nowhere"))).toMatch(/^management_/);
  });
});

describe("an API that misbehaves", () => {
  test.each([
    {
      what: "statistics switched off",
      status: 400,
      body: '{"reason":"Stats in management UI are disabled on this node"}',
      reason: "statistics_disabled",
    },
    { what: "a server error", status: 500, body: "oops", reason: "management_failed" },
    { what: "no JSON", status: 200, body: "<html>", reason: "management_failed" },
    {
      what: "a key that is missing is not zero",
      status: 200,
      body: '{"tags":["monitoring"],"name":"x"}',
      reason: "management_failed",
    },
  ])("$what: $reason", async ({ status, body, reason }) => {
    const url = await server((_request, response) => response.writeHead(status).end(body));
    const api = management({ ...apiSettings("/"), url });
    onTestFinished(() => api.close());
    await expect(api.consumersOf("inbox", soon())).rejects.toMatchObject({ reason });
  });

  test("accepting and never answering costs no more than the time-out", async () => {
    const url = await server(() => {});
    const api = management({ ...apiSettings("/"), url });
    onTestFinished(() => api.close());
    const startedMs = performance.now();
    const asked = api.consumers(AbortSignal.timeout(300));
    await expect(asked).rejects.toBeInstanceOf(ManagementError);
    await expect(asked).rejects.toMatchObject({ reason: "timeout" });
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });
});

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
