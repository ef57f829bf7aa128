import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Channel, type ChannelModel, connect } from "amqplib";
import { pino } from "pino";
import * as z from "zod";
import { expect, inject, onTestFinished, vi } from "vitest";
import { managementHeaders, managementUrl } from "../../../test/brokers/addresses.ts";
import { freshVhost } from "../../../test/fresh.ts";
import type { BrokerSettings } from "../src/broker-config.ts";
import { type BrokerOptions, connectBroker } from "../src/broker.ts";
import { type Consumer, consumeInBatches } from "../src/consume.ts";
import type { Topology } from "../src/topology.ts";

const connectionList = z.array(
  z.object({ name: z.string(), client_properties: z.object({ connection_name: z.string().optional() }) }),
);

export const topology: Topology = {
  exchange: "heartbeat",
  queue: "heartbeat",
  routingKey: "service.heartbeat",
  declare: "all",
  end: "subscriber",
};

/** How to reach a vhost of the real broker that only this test knows, and a channel to look into it. */
export async function freshBroker(): Promise<{ settings: BrokerSettings; channel: Channel }> {
  const { host, amqpPort, user, password } = inject("rabbitmq");
  const { name } = await freshVhost();
  const settings = { host, amqpPort, user, password, vhost: name, tls: undefined };
  return { settings, channel: await openChannel(settings) };
}

async function openChannel(settings: BrokerSettings): Promise<Channel> {
  const channel = await (await dial(settings)).createChannel();
  channel.on("error", () => {});
  return channel;
}

/** A connection of the test's own. */
export async function dial({ host, amqpPort, user, password, vhost }: BrokerSettings): Promise<ChannelModel> {
  const connection = await connect({
    hostname: host,
    port: amqpPort,
    username: user,
    password,
    vhost: encodeURIComponent(vhost),
  });
  connection.on("error", () => {});
  onTestFinished(() => connection.close().catch(() => {})); // the test may have closed it
  return connection;
}

/** Regular expressions for the names of objects; what is left out matches none. */
interface Permissions {
  readonly configure?: string;
  readonly write?: string;
  readonly read?: string;
}

/** How a new user with these permissions, gone with the test, reaches the same vhost; `grant` replaces them. */
export async function limitedUser(settings: BrokerSettings, permissions: Permissions) {
  const user = `limited-${randomBytes(6).toString("hex")}`;
  const grant = async ({ configure = "^$", write = "^$", read = "^$" }: Permissions) =>
    await manage("PUT", `permissions/${settings.vhost}/${user}`, { configure, write, read });
  await manage("PUT", `users/${user}`, { password: "limited", tags: "" });
  onTestFinished(() => manage("DELETE", `users/${user}`));
  await grant(permissions);
  return { settings: { ...settings, user, password: "limited" }, grant };
}

async function manage(method: "PUT" | "DELETE", path: string, body: object = {}): Promise<void> {
  const rabbitmq = inject("rabbitmq");
  const request = { method, headers: managementHeaders(rabbitmq), body: JSON.stringify(body) };
  const response = await fetch(managementUrl(rabbitmq, path), request);
  expect(response.ok, `${method} ${path}: ${response.status}`).toBe(true);
}

/** A session of ours, with what it logs, as warnings and above unless asked otherwise. */
export function startSession(settings: BrokerSettings, options: Partial<BrokerOptions> = {}, level = "warn") {
  const lines: string[] = [];
  const broker = connectBroker({
    settings: [settings],
    topology,
    connectionName: `test ${settings.vhost}`,
    log: pino({ level }, { write: (line: string) => void lines.push(line) }),
    open: async () => {},
    ...options,
  });
  onTestFinished(() => broker.close());
  return { broker, lines };
}

/** A session that consumes into a list of bodies; `waited` are those that may have waited in the queue. */
export function startConsuming(
  settings: BrokerSettings,
  onBatch?: () => Promise<void>,
  used: Topology = topology,
) {
  const bodies: string[] = [];
  const waited: string[] = [];
  let consumer: Consumer | undefined;
  const session = startSession(settings, {
    topology: used,
    open: async (opened) => {
      consumer = await consumeInBatches(opened, used.queue, async (batch) => {
        await onBatch?.();
        bodies.push(...batch.map(({ body }) => body.toString()));
        waited.push(...batch.filter(({ hasWaited }) => hasWaited).map(({ body }) => body.toString()));
      });
    },
    release: async () => await consumer?.drain(),
  });
  return { ...session, bodies, waited, isCatchingUp: () => consumer?.isCatchingUp };
}

export async function untilConnected(broker: { connectedAtMs: number | undefined }): Promise<void> {
  await vi.waitFor(() => expect(broker.connectedAtMs).toBeDefined(), { timeout: 15_000 });
}

/** Closes a connection from the broker's side, as an operator can. The statistics know it only after some seconds. */
export async function closeConnections(vhost: string, name: string): Promise<void> {
  const rabbitmq = inject("rabbitmq");
  const headers = managementHeaders(rabbitmq);
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const response = await fetch(managementUrl(rabbitmq, `vhosts/${vhost}/connections`), { headers });
    const list = connectionList.parse(await response.json());
    const found = list.filter((connection) => connection.client_properties.connection_name === name);
    for (const connection of found) {
      const url = managementUrl(rabbitmq, `connections/${encodeURIComponent(connection.name)}`);
      await fetch(url, { method: "DELETE", headers });
    }
    if (found.length > 0) return;
    await sleep(100);
  }
  throw new Error(`no connection ${name} in vhost ${vhost}`);
}
