import { once } from "node:events";
import net from "node:net";
import { connect } from "amqplib";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { decodeHeartbeat } from "../packages/shared/src/decode.ts";
import { freePorts } from "./brokers/free-ports.ts";
import { freshProxy } from "./fresh-proxy.ts";
import { heardHeartbeats } from "./heard-heartbeats.ts";
import { freshEnvironment, startBundle, temporaryFile } from "./processes.ts";

const STOP_DEADLINE_MS = 5_000;

const config = { heartbeat: { hosts: [{ host: "127.0.0.1", port: 1, name: "closed" }] } };

function start(env: Record<string, string>) {
  const path = temporaryFile("publisher_config.json", JSON.stringify(config));
  return startBundle("publisher", { PUBLISHER_CONFIG_PATH: path, ...env });
}

/** A publisher that has told what there is to tell, and would speak again only in an hour; with all that it says. */
async function talkingPublisher(env: Record<string, string> = {}) {
  const { amqpUrl, publisher } = await freshEnvironment();
  const heard = await heardHeartbeats(amqpUrl);
  const bundle = start({ ...publisher, PUBLISH_INTERVAL: "3600", PROBE_INTERVAL: "2", ...env });
  // The first one, and the belief in the failure.
  await vi.waitFor(() => expect(heard.messages).toHaveLength(2), { timeout: 15_000 });
  return { bundle, heard };
}

async function stop({ child, ended }: ReturnType<typeof startBundle>, signal: NodeJS.Signals): Promise<void> {
  const startedMs = performance.now();
  child.kill(signal);
  expect(await ended()).toBe(0);
  expect(performance.now() - startedMs).toBeLessThan(STOP_DEADLINE_MS);
}

describe("an orderly stop", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "by %s ends with a heartbeat that says so, with all states",
    async (signal) => {
      const { bundle, heard } = await talkingPublisher();
      await stop(bundle, signal);
      await heard.caughtUp();
      const decoded = heard.messages.map(({ content }) => decodeHeartbeat(content, Date.now()));
      const component = { kind: "service", name: "closed", state: "down", reason: "connection_refused" };
      expect(decoded).toMatchObject([
        { heartbeat: { cause: "interval", sequence: 1 } },
        { heartbeat: { cause: "change", sequence: 2 } },
        { heartbeat: { cause: "goodbye", sequence: 3, components: [component] } },
      ]);
      const ids = heard.messages.map(({ properties }) => String(properties.messageId));
      expect(ids[2]).toBe(ids[1]?.replace(/2$/, "3"));
      // Nothing went wrong on the way out.
      expect(bundle.printed()).not.toContain('"level":40');
    },
  );

  test("in format 1 is silent: upstream has no such word", async () => {
    const { bundle, heard } = await talkingPublisher({ HEARTBEAT_FORMAT: "1" });
    await stop(bundle, "SIGTERM");
    await heard.caughtUp();
    expect(heard.messages).toHaveLength(2);
  });

  test("while the broker is mute ends in time as well, having tried", async () => {
    const proxy = await freshProxy({ host: inject("rabbitmq").host, port: inject("rabbitmq").amqpPort });
    const { bundle } = await talkingPublisher({
      RABBITMQ_HOST: "127.0.0.1",
      RABBITMQ_PORT: String(proxy.port),
    });
    await proxy.set("hold");
    await stop(bundle, "SIGTERM");
    expect(bundle.printed()).toContain('"cause":"no confirm in time","msg":"goodbye was not confirmed"');
  });

  test("that reaches nobody says why, in words", async () => {
    const { amqpUrl, publisher } = await freshEnvironment();
    const connection = await connect(amqpUrl);
    onTestFinished(() => connection.close());
    const channel = await connection.createChannel();
    await channel.assertExchange("my_topic_exchange", "topic");
    const bundle = start({ ...publisher, RABBITMQ_DECLARE: "none" });
    await vi.waitFor(() => expect(bundle.printed()).toContain("publishing unavailable"), { timeout: 15_000 });
    await stop(bundle, "SIGTERM");
    expect(bundle.printed()).toMatch(
      /"cause":"no queue is bound for it: [^"]*","msg":"goodbye was not confirmed"/,
    );
    expect(bundle.printed()).not.toContain("release failed");
  });
});

describe("over HTTP", () => {
  test("a publisher is alive at once, ready when the broker confirms, and gone when it stops", async () => {
    const [port] = await freePorts(1);
    const { bundle } = await talkingPublisher({ HTTP_PORT: String(port) });
    expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200);
    await vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200));
    await stop(bundle, "SIGTERM");
    await expect(fetch(`http://127.0.0.1:${port}/livez`)).rejects.toThrow("fetch failed");
  });

  test("a publisher without a broker is alive, but not ready", async () => {
    const [port] = await freePorts(1);
    const bundle = start({
      RABBITMQ_HOST: "127.0.0.1",
      RABBITMQ_PORT: "1",
      HTTP_HOST: "[::1]",
      HTTP_PORT: String(port),
    });
    const url = `http://[::1]:${port}`;
    await vi.waitFor(async () => expect((await fetch(`${url}/livez`)).status).toBe(200), { timeout: 5_000 });
    const response = await fetch(`${url}/readyz`);
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({
      status: "fail",
      reasons: ["the broker is not connected", "no heartbeat has been confirmed yet"],
    });
    await stop(bundle, "SIGTERM");
  });

  test("a port that is taken is a warning, and heartbeats are sent all the same", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    onTestFinished(() => void taken.close());
    const address = taken.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const { bundle } = await talkingPublisher({ HTTP_PORT: String(port) });
    expect(bundle.printed().match(/"level":40.*/g)).toHaveLength(1);
    expect(bundle.printed()).toContain(
      `HTTP_HOST, HTTP_PORT: cannot listen at 127.0.0.1:${port} (EADDRINUSE)`,
    );
  });
});
