import { once } from "node:events";
import net from "node:net";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { decodeHeartbeat, type ReceivedHeartbeat } from "../packages/shared/src/decode.ts";
import { silentPort } from "../packages/publisher/test/silent-port.ts";
import { endAlarm, raiseAlarm } from "./broker-alarm.ts";
import { freePorts } from "./brokers/free-ports.ts";
import { freshProxy } from "./fresh-proxy.ts";
import { type HeardHeartbeats, heardHeartbeats } from "./heard-heartbeats.ts";
import { freshEnvironment, startBundle, temporaryFile } from "./processes.ts";

const STOP_DEADLINE_MS = 5_000;

/** What a publisher watches that has one component, which the test starts and stops. */
async function startTarget() {
  const [port = 0] = await freePorts(1);
  let server: net.Server | undefined;
  async function up(): Promise<void> {
    server = net.createServer((socket) => socket.destroy()).listen(port, "127.0.0.1");
    await once(server, "listening");
  }
  async function down(): Promise<void> {
    if (!server) return;
    server.close();
    await once(server, "close");
  }
  await up();
  onTestFinished(() => void server?.close());
  const config = { heartbeat: { hosts: [{ host: "127.0.0.1", port, name: "db" }] } };
  return { up, down, path: temporaryFile("publisher_config.json", JSON.stringify(config)) };
}

/** A publisher that is ready, behind a proxy, and looks five times a second. */
async function talkingPublisher(env: Record<string, string> = {}) {
  const { amqpUrl, publisher } = await freshEnvironment();
  const { host, amqpPort } = inject("rabbitmq");
  const proxy = await freshProxy({ host, port: amqpPort });
  const heard = await heardHeartbeats(amqpUrl);
  const target = await startTarget();
  const [httpPort] = await freePorts(1);
  const bundle = startBundle("publisher", {
    ...publisher,
    RABBITMQ_HOST: "127.0.0.1",
    RABBITMQ_PORT: String(proxy.port),
    PUBLISHER_CONFIG_PATH: target.path,
    PUBLISH_INTERVAL: "3600",
    PROBE_INTERVAL: "0.2",
    HTTP_PORT: String(httpPort),
    ...env,
  });
  const readiness = async (): Promise<unknown> =>
    await (await fetch(`http://127.0.0.1:${httpPort}/readyz`)).json();
  await vi.waitFor(async () => expect(await readiness()).toMatchObject({ status: "pass" }), {
    timeout: 15_000,
  });
  return { bundle, proxy, heard, target, readiness };
}

type Talking = Awaited<ReturnType<typeof talkingPublisher>>;

/** The component falls and rises again, and the publisher has seen both. */
async function fallAndRise({ target, bundle }: Talking): Promise<void> {
  const seen = (to: string) => bundle.printed().split(`"to":"${to}"`).length - 1;
  const before = { down: seen("down"), up: seen("up") };
  await target.down();
  await vi.waitFor(() => expect(seen("down")).toBe(before.down + 1), { timeout: 5_000 });
  await target.up();
  await vi.waitFor(() => expect(seen("up")).toBe(before.up + 1), { timeout: 5_000 });
}

/** As `sequence cause state`. */
function told(heard: HeardHeartbeats): string[] {
  return heartbeats(heard).map(({ sequence, cause, components }) => {
    return `${sequence} ${cause} ${components.map(({ state }) => state).join()}`;
  });
}

function heartbeats({ messages }: HeardHeartbeats): ReceivedHeartbeat[] {
  return messages.map(({ content }) => {
    const decoded = decodeHeartbeat(content, Date.now());
    if (!decoded.ok) throw new Error(decoded.problem);
    return decoded.heartbeat;
  });
}

/** The message and the cause of each line that warns of something. */
function warnings({ bundle }: Talking): string[] {
  const lines = bundle.printed().match(/^.*"level":[456]0.*$/gm) ?? [];
  return lines.map(
    (line) => /"cause":"(.*)","msg":"(.*)"/.exec(line)?.slice(1).toReversed().join(": ") ?? line,
  );
}

async function stop({ bundle }: Talking): Promise<void> {
  const startedMs = performance.now();
  bundle.child.kill("SIGTERM");
  expect(await bundle.ended()).toBe(0);
  expect(performance.now() - startedMs).toBeLessThan(STOP_DEADLINE_MS);
}

describe("what happens while the broker is away", () => {
  test("is told when it is back, after the current state, with its own times", async () => {
    const talking = await talkingPublisher();
    const { proxy, heard, readiness } = talking;
    await proxy.set("cut");
    await vi.waitFor(async () =>
      expect(await readiness()).toEqual({ status: "fail", reasons: ["the broker is not connected"] }),
    );
    await fallAndRise(talking);
    const returnedMs = Date.now();
    await proxy.set("pass");
    await vi.waitFor(() => expect(heard.messages).toHaveLength(3), { timeout: 10_000 });
    expect(told(heard)).toEqual(["1 interval up", "3 change up", "2 backfill down"]);
    const [, current, backfill] = heartbeats(heard);
    expect(current?.sentAtMs).toBeGreaterThanOrEqual(returnedMs);
    expect(backfill?.sentAtMs).toBeLessThan(returnedMs);
    expect(backfill?.uptimeMs).toBeLessThan(current?.uptimeMs ?? 0);
    expect(heard.messages[2]?.properties).toMatchObject({
      messageId: `${backfill?.bootId}/2`,
      timestamp: Math.floor((backfill?.sentAtMs ?? 0) / 1000),
      expiration: "604800000",
    });
    // An upstream subscriber finds nothing to write in it.
    expect(JSON.parse(heard.messages[2]?.content.toString() ?? "")).toMatchObject({
      hosts: [],
      rmq_consumers: { queues_status: [], services_status: [] },
    });
    await vi.waitFor(async () => expect(await readiness()).toMatchObject({ status: "pass" }));
  });

  test("may be nothing: its return is told nevertheless, and nothing twice", async () => {
    const { proxy, heard, readiness } = await talkingPublisher();
    await proxy.set("cut");
    await vi.waitFor(async () => expect(await readiness()).toMatchObject({ status: "fail" }));
    await proxy.set("pass");
    await vi.waitFor(() => expect(told(heard)).toEqual(["1 interval up", "2 interval up"]), {
      timeout: 10_000,
    });
  });
});

test("a heartbeat that reaches nobody is told once, kept, and sent when somebody is there", async () => {
  const talking = await talkingPublisher({ RABBITMQ_DECLARE: "none" });
  const { bundle, heard } = talking;
  await heard.unbound();
  await fallAndRise(talking);
  // It is tried again while nothing else happens.
  await vi.waitFor(() => expect(bundle.printed()).toContain("publishing unavailable"));
  await heard.bound();
  await vi.waitFor(() => expect(heard.messages).toHaveLength(3), { timeout: 10_000 });
  expect(told(heard)).toEqual(["1 interval up", "3 change up", "2 backfill down"]);
  expect(warnings(talking)).toEqual([
    "publishing unavailable: no queue is bound for it: exchange 'my_topic_exchange', routing key 'service.heartbeat' (queue 'my_queue')",
  ]);
  await vi.waitFor(() => expect(bundle.printed()).toContain("publishing available again"));
});

describe("an alarm of the broker", () => {
  const reasons = ["the broker takes no messages: low on memory"];

  test("is told at once, nothing is sent meanwhile, and afterwards the current state first", async () => {
    const talking = await talkingPublisher();
    const { proxy, heard, bundle, readiness } = talking;
    await raiseAlarm(proxy, "low on memory");
    await vi.waitFor(async () => expect(await readiness()).toEqual({ status: "fail", reasons }));
    await fallAndRise(talking);
    await heard.caughtUp();
    expect(told(heard)).toEqual(["1 interval up"]);
    await endAlarm(proxy);
    await vi.waitFor(() => expect(heard.messages).toHaveLength(3), { timeout: 5_000 });
    expect(told(heard).slice(1)).toEqual(["3 change up", "2 backfill down"]);
    await vi.waitFor(async () => expect(await readiness()).toMatchObject({ status: "pass" }));
    await vi.waitFor(() => expect(bundle.printed()).toContain("broker available again"));
    expect(warnings(talking)).toEqual(["broker unavailable: it takes no messages: low on memory"]);
  });

  test("does not delay a stop: a goodbye is not tried", async () => {
    const talking = await talkingPublisher();
    const { proxy, heard, bundle } = talking;
    await raiseAlarm(proxy, "low on memory");
    await vi.waitFor(() => expect(bundle.printed()).toContain("low on memory"));
    await stop(talking);
    await heard.caughtUp();
    expect(told(heard)).toEqual(["1 interval up"]);
    expect(warnings(talking)).toHaveLength(1);
  });
});

test("what does not answer delays no heartbeat: a port, a broker's management API", async () => {
  const { amqpUrl, publisher } = await freshEnvironment();
  const heard = await heardHeartbeats(amqpUrl);
  const mute = net.createServer().listen(0, "127.0.0.1");
  await once(mute, "listening");
  onTestFinished(() => void mute.close());
  const address = mute.address();
  const port = await silentPort();
  const config = {
    heartbeat: {
      hosts: ["a", "b", "c"].map((name) => ({ host: "127.0.0.1", port, name })),
      rmq_consumers: [{ queue: "inbox", listeners: [{ tag: "worker", name: "worker" }] }],
    },
  };
  startBundle("publisher", {
    ...publisher,
    RABBITMQ_MANAGEMENT_URL: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`,
    RABBITMQ_CONSUMER_SOURCE: "management",
    PUBLISHER_CONFIG_PATH: temporaryFile("publisher_config.json", JSON.stringify(config)),
    PROBE_TIMEOUT: "2",
    // So that looking at everything takes eight seconds.
    PROBE_CONCURRENCY: "1",
    PUBLISH_INTERVAL: "0.5",
  });
  await vi.waitFor(() => expect(heard.messages.length).toBeGreaterThanOrEqual(5), { timeout: 15_000 });
  const sentMs = heartbeats(heard).map(({ uptimeMs }) => uptimeMs);
  // The time that a process takes to start is in it.
  expect(sentMs[0]).toBeLessThan(3_500);
  expect((sentMs[4] ?? Infinity) - (sentMs[0] ?? 0)).toBeLessThan(2_600);
  expect(told(heard)[0]).toMatch(/unknown,unknown/);
});
