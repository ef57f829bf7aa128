import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type ChannelModel, connect } from "amqplib";
import { closeQuietly } from "../packages/shared/src/broker-connection.ts";
import { type Timeline, timeline } from "./invariants/timeline.ts";

/** Something that is watched: it is up or down, and when is known. */
export interface Part {
  /** As publisher_config.json has it; several parts may share a name, of which the worst counts. */
  readonly name: string;
  readonly kind: "host" | "consumer";
  /** Where it consumes; a host has none. */
  readonly queue: string | undefined;
  readonly port: number | undefined;
  readonly truth: Timeline;
  /** Whether it is meant to be up; what it needs may be away. */
  readonly isWanted: boolean;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const REDIAL_MS = 500;

/** Accepts connections while it is up; nobody listens while it is down. */
export function hostPart(name: string, port: number): Part {
  const truth = timeline("down", Date.now());
  let server: net.Server | undefined;
  return {
    name,
    kind: "host",
    queue: undefined,
    port,
    truth,
    get isWanted() {
      return server !== undefined;
    },
    async start() {
      if (server) return;
      server = net.createServer((socket) => socket.on("error", () => {}).end()).listen(port, "127.0.0.1");
      await once(server, "listening");
      truth.became("up", Date.now());
    },
    async stop() {
      const stopped = server;
      server = undefined;
      if (!stopped) return;
      await once(stopped.close(), "close");
      truth.became("down", Date.now());
    },
  };
}

/** A worker on one queue. When the broker goes away it connects again, as workers do. */
export function consumerPart(name: string, queue: string, url: string): Part {
  const truth = timeline("down", Date.now());
  let wanted: AbortController | undefined;
  let working: Promise<void> | undefined;
  let connection: ChannelModel | undefined;

  async function workOnce(signal: AbortSignal): Promise<void> {
    connection = await connect(url, { timeout: 5_000 });
    // Not node's once, which rejects at an error that may come before anybody waits.
    const closed = new Promise<void>((resolve) => connection?.once("close", () => resolve()));
    connection.on("error", () => {}); // told by the close
    const channel = await connection.createChannel();
    channel.on("error", () => {});
    await channel.assertQueue(queue, { durable: true });
    await channel.consume(queue, (message) => message && channel.ack(message), {
      consumerTag: `ctag-/app/${name}-1`,
    });
    truth.became("up", Date.now());
    if (signal.aborted) await closeQuietly(connection);
    await closed;
  }

  async function work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await workOnce(signal).catch(() => connection && closeQuietly(connection)); // it is dialled again
      truth.became("down", Date.now());
      await sleep(REDIAL_MS, undefined, { signal }).catch(() => {}); // stopped
    }
  }

  return {
    name,
    kind: "consumer",
    queue,
    port: undefined,
    truth,
    get isWanted() {
      return wanted !== undefined;
    },
    async start() {
      if (wanted) return;
      wanted = new AbortController();
      working = work(wanted.signal);
    },
    async stop() {
      wanted?.abort();
      wanted = undefined;
      if (connection) await closeQuietly(connection);
      await working;
    },
  };
}
