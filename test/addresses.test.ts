import { connect } from "amqplib";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { freshProxy } from "./fresh-proxy.ts";
import { heardHeartbeats } from "./heard-heartbeats.ts";
import { expectHealth, freshEnvironment, runCommand, startBundle, temporaryFile } from "./processes.ts";

/** A worker on a queue of a broker with two addresses by two names, of which only the second is reachable. */
async function siteOfTwoAddresses() {
  const { amqpUrl, url, publisher, subscriber } = await freshEnvironment();
  const connection = await connect(amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createChannel();
  await channel.assertQueue("ingest");
  await channel.consume("ingest", () => {}, { consumerTag: "ctag-sda-ingest-1" });

  const { host, amqpPort, managementPort } = inject("rabbitmq");
  const first = await freshProxy({ host, port: amqpPort });
  const second = await freshProxy({ host, port: amqpPort });
  const api = await freshProxy({ host, port: managementPort }, { isRecording: true });
  await first.set("refuse");
  const addresses = { RABBITMQ_HOST: `localhost:${first.port}, 127.0.0.1:${second.port}` };
  const rmq_consumers = [{ queue: "ingest", listeners: [{ tag: "sda-ingest", name: "sda-ingest" }] }];
  const inside = {
    ...publisher,
    ...addresses,
    RABBITMQ_CONSUMER_SOURCE: "management",
    RABBITMQ_MANAGEMENT_PORT: String(api.port),
    PUBLISHER_CONFIG_PATH: temporaryFile("config.json", JSON.stringify({ heartbeat: { rmq_consumers } })),
    PROBE_INTERVAL: "1",
  };
  /** The hosts that the management API was asked at, one for each connection. */
  const asked = () => api.sent().map((requests) => /^host: (.*):\d+\r$/im.exec(String(requests))?.[1]);
  return { amqpUrl, url, inside, outside: { ...subscriber, ...addresses }, first, second, asked };
}

test("both services use the address that answers, and the management API follows", async () => {
  const { amqpUrl, url, inside, outside, first, second, asked } = await siteOfTwoAddresses();
  // The statistics know the worker only after some seconds.
  await vi.waitFor(
    async () => {
      const { stdout } = await runCommand("publisher", ["print-heartbeat"], inside);
      expect(stdout).toContain('{"name":"sda-ingest","status":"ok"');
    },
    { timeout: 15_000 },
  );
  const heard = await heardHeartbeats(amqpUrl);
  const services = [startBundle("publisher", inside), startBundle("subscriber", outside)];
  await expectHealth(url, 10_000, ({ code }) => expect(code).toBe(200));
  expect(heard.messages[0]?.content.toString()).toContain('{"name":"sda-ingest","status":"ok"');
  expect(new Set(asked())).toEqual(new Set(["127.0.0.1"]));

  const asks = asked().length;
  await first.set("pass");
  await second.set("refuse");
  for (const { printed } of services) {
    const back = new RegExp(`"host":"localhost","port":${first.port},"msg":"broker connected"`);
    await expect.poll(printed, { timeout: 10_000 }).toMatch(back);
    expect(printed()).toContain(`nothing listens at localhost:${first.port} (connection refused)`);
  }
  await expect.poll(() => asked().slice(asks), { timeout: 10_000 }).toContain("localhost");
  await expectHealth(url, 2_000, ({ code }) => expect(code).toBe(200));
});
