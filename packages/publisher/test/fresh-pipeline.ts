import { randomBytes } from "node:crypto";
import { type ChannelModel, connect } from "amqplib";
import { pino } from "pino";
import { expect, inject, onTestFinished } from "vitest";
import { openLookingChannel } from "../../shared/src/broker-connection.ts";
import { managementHeaders, managementUrl } from "../../../test/brokers/addresses.ts";
import { freshVhost } from "../../../test/fresh.ts";
import type { Probe } from "../src/probe.ts";
import { type ConsumerSource, consumersProbe } from "../src/probes/consumers.ts";
import { passiveCounts } from "../src/probes/passive.ts";
import { management } from "../src/probes/management.ts";
import type { QueueTarget } from "../src/probes/queue-target.ts";
import { listener, queueTarget } from "./queues.ts";

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** The statistics lag behind by up to five seconds: for expect.poll. */
export const LAG = { timeout: 15_000, interval: 200 };

export const soon = () => AbortSignal.timeout(5_000);

/** A vhost that only this test knows, with a channel of the workers' in it. */
export async function freshPipeline(vhostEnd = "") {
  const { name: vhost } = await freshVhost(vhostEnd);
  return await pipelineIn(vhost);
}

export async function pipelineIn(vhost: string) {
  const connection = await connectTo(vhost);
  return { vhost, connection, channel: await connection.createChannel() };
}

export const WORKING_QUEUES = ["inbox", "ingest", "archived"];

/** Three queues and a worker on each. */
export async function workingPipeline() {
  const pipeline = await freshPipeline();
  for (const queue of WORKING_QUEUES) {
    await pipeline.channel.assertQueue(queue);
    await pipeline.channel.consume(queue, () => {}, { consumerTag: `ctag-/app/${queue}-1` });
  }
  return pipeline;
}

export async function connectTo(
  vhost: string,
  { user, password }: Credentials = inject("rabbitmq"),
  options: { channelMax?: number } = {},
): Promise<ChannelModel> {
  const { host, amqpPort } = inject("rabbitmq");
  const connection = await connect({
    hostname: host,
    port: amqpPort,
    username: user,
    password,
    vhost: encodeURIComponent(vhost),
    ...options,
  });
  connection.on("error", () => {});
  onTestFinished(() => connection.close().catch(() => {})); // the test may have closed it
  return connection;
}

/** A user with these tags who may enter the vhost and read, gone when the test is finished. */
export async function userIn(vhost: string, tags: string): Promise<Credentials> {
  const user = `looker-${randomBytes(6).toString("hex")}`;
  const password = "p:ä%/";
  await put(`users/${user}`, { password, tags });
  onTestFinished(async () => {
    const rabbitmq = inject("rabbitmq");
    await fetch(managementUrl(rabbitmq, `users/${user}`), {
      headers: managementHeaders(rabbitmq),
      method: "DELETE",
    });
  });
  const permissions = { configure: "^$", write: "^$", read: ".*" };
  await put(`permissions/${encodeURIComponent(vhost)}/${user}`, permissions);
  return { user, password };
}

/** Changes something by the management API, as an administrator. */
export async function put(path: string, body: object): Promise<void> {
  const rabbitmq = inject("rabbitmq");
  const request = { headers: managementHeaders(rabbitmq), body: JSON.stringify(body), method: "PUT" };
  const response = await fetch(managementUrl(rabbitmq, path), request);
  expect(response.ok, `PUT ${path}: ${response.status}`).toBe(true);
}

interface ProbeOf {
  readonly vhost: string;
  readonly queues: readonly QueueTarget[];
  readonly source?: ConsumerSource;
  readonly credentials?: Credentials;
  readonly url?: string;
}

/** A probe as the publisher has it, with a connection of its own and as the user asked for. */
export async function probeIn({ vhost, queues, source = "auto", credentials, url }: ProbeOf): Promise<Probe> {
  const { host, managementPort, user, password } = { ...inject("rabbitmq"), ...credentials };
  const connection = await connectTo(vhost, { user, password });
  const settings = {
    url: url ?? `http://${host}:${managementPort}`,
    user,
    password,
    vhost,
    tls: undefined,
  };
  const api = management(settings);
  onTestFinished(() => api.close());
  return consumersProbe({
    queues,
    allQueues: queues,
    source,
    management: api,
    isManagementOfOurBroker: false,
    count: passiveCounts(() => openLookingChannel(connection)),
    patienceMs: 2_500,
    brokerConnectedAtMs: () => 0,
    now: Date.now,
    stopping: new AbortController().signal,
    log: pino({ level: "silent" }),
  });
}

/** Each queue with a listener whose tag has its name in it. */
export function targets(...names: string[]): QueueTarget[] {
  return names.map((queue) => queueTarget(queue, [listener(`worker of ${queue}`, queue)]));
}

export async function statesOf(probe: Probe): Promise<string[]> {
  return (await probe.look(soon())).map(({ state }) => state);
}
