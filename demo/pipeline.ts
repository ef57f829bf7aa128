import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { type ChannelModel, connect } from "amqplib";
import * as z from "zod";
import { freePorts } from "../test/brokers/free-ports.ts";
import type { Brokers } from "../test/brokers.ts";

/** Something of the pipeline that can be stopped and started by hand. */
export interface Part {
  readonly name: string;
  readonly isRunning: boolean;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface Pipeline {
  readonly parts: readonly Part[];
  /** What the publisher is to watch: the FEGA-Norway file with the addresses of this machine. */
  readonly publisherConfig: object;
  stop(): Promise<void>;
}

const EXAMPLE = new URL("../examples/fega-norway.publisher_config.json", import.meta.url);

const exampleSchema = z.object({
  heartbeat: z.object({
    hosts: z.array(z.object({ host: z.string(), port: z.string(), name: z.string() })),
    rmq_consumers: z.array(
      z.object({ queue: z.string(), listeners: z.array(z.object({ tag: z.string(), name: z.string() })) }),
    ),
  }),
});

/** Starts the example pipeline of a Federated EGA node: nine queues with their workers, and two TCP services. */
export async function startPipeline({ rabbitmq }: Brokers): Promise<Pipeline> {
  const { heartbeat } = exampleSchema.parse(JSON.parse(readFileSync(EXAMPLE, "utf8")));
  const amqp = { ...rabbitmq, hostname: rabbitmq.host, port: rabbitmq.amqpPort, username: rabbitmq.user };
  const admin = await connect(amqp);
  const channel = await admin.createChannel();
  for (const { queue } of heartbeat.rmq_consumers) await channel.assertQueue(queue, { durable: true });
  await admin.close();

  const ports = await freePorts(heartbeat.hosts.length);
  const hosts = heartbeat.hosts.map(({ name }, index) => ({
    name,
    host: "127.0.0.1",
    port: ports[index] ?? 0,
  }));
  const services = hosts.map(({ name, port }) => tcpService(name, port));

  const queuesOf = Map.groupBy(
    heartbeat.rmq_consumers.flatMap(({ queue, listeners }) => listeners.map(({ name }) => ({ queue, name }))),
    ({ name }) => name,
  );
  const workers = [...queuesOf].map(([name, entries]) => {
    const queues = entries.map(({ queue }) => queue);
    return worker(name, queues, () => connect(amqp));
  });
  const parts = [...services, ...workers];
  await Promise.all(parts.map((part) => part.start()));
  return {
    parts,
    publisherConfig: { heartbeat: { ...heartbeat, hosts } },
    stop: async () => void (await Promise.allSettled(parts.map((part) => part.stop()))),
  };
}

/** Accepts connections and says nothing. */
function tcpService(name: string, port: number): Part {
  let server: net.Server | undefined;
  return {
    name,
    get isRunning() {
      return server !== undefined;
    },
    async start() {
      if (server) return;
      server = net.createServer((socket) => socket.on("error", () => {}).end());
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
    },
    async stop() {
      const stopped = server;
      server = undefined;
      if (stopped) await once(stopped.close(), "close");
    },
  };
}

/** Consumes its queues with tags as the programs of a real node have them, such as `ctag-/app/sda-ingest-1`. */
function worker(name: string, queues: readonly string[], dial: () => Promise<ChannelModel>): Part {
  let connection: ChannelModel | undefined;
  return {
    name,
    get isRunning() {
      return connection !== undefined;
    },
    async start() {
      connection ??= await dial();
      // The broker may go away before the worker does.
      connection.on("error", () => {});
      const channel = await connection.createChannel();
      for (const [index, queue] of queues.entries()) {
        const consumerTag = `ctag-/app/${name}-${index + 1}`;
        await channel.consume(queue, (message) => message && channel.ack(message), { consumerTag });
      }
    },
    async stop() {
      const stopped = connection;
      connection = undefined;
      await stopped?.close().catch(() => {}); // it may be gone already
    },
  };
}
