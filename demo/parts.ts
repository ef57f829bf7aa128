import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import type { ChannelModel } from "amqplib";
import * as z from "zod";

/** Something of the pipeline that can be stopped and started by hand. */
export interface Part {
  readonly name: string;
  readonly isRunning: boolean;
  start(): Promise<void>;
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

/** The pipeline of a Federated EGA node, as FEGA-Norway's publisher_config.json has it. */
export function readExample() {
  const { heartbeat } = exampleSchema.parse(JSON.parse(readFileSync(EXAMPLE, "utf8")));
  const entries = heartbeat.rmq_consumers.flatMap(({ queue, listeners }) =>
    listeners.map(({ name }) => ({ queue, name })),
  );
  const workers = [...Map.groupBy(entries, ({ name }) => name)].map(([name, ofOne]) => ({
    name,
    queues: ofOne.map(({ queue }) => queue),
  }));
  return { heartbeat, workers };
}

/** Accepts connections and says nothing. */
export function tcpService(name: string, { host, port }: { host: string; port: number }): Part {
  let server: net.Server | undefined;
  return {
    name,
    get isRunning() {
      return server !== undefined;
    },
    async start() {
      if (server) return;
      server = net.createServer((socket) => socket.on("error", () => {}).end());
      server.listen(port, host);
      await once(server, "listening");
    },
    async stop() {
      const stopped = server;
      server = undefined;
      if (stopped) await once(stopped.close(), "close");
    },
  };
}

/**
 * Consumes its queues, which it creates when they are missing, with tags as the programs of a real node have them, such as
 * `ctag-/app/sda-ingest-1`.
 */
export function worker(name: string, queues: readonly string[], dial: () => Promise<ChannelModel>): Part {
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
        await channel.assertQueue(queue, { durable: true });
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
