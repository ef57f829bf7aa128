import { setTimeout as sleep } from "node:timers/promises";
import { type Channel, type ChannelModel, type ConfirmChannel, connect, type ConsumeMessage } from "amqplib";
import { closeQuietly } from "../packages/shared/src/broker-connection.ts";
import type { RabbitmqAddress } from "../test/brokers/addresses.ts";

export const EXCHANGE = "soak";
export const QUEUE = "soak-heartbeats";
const TAP = "soak-tap";
const ROUTING_KEY = "service.heartbeat";
/** Marks what did not come from a publisher. */
const MARK = "x-soak";
const NOT_A_PUBLISHER = "not a publisher";
const REDIAL_MS = 300;
const MOST_KEPT = 1_000;

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

type Headers = Readonly<Record<string, unknown>>;

/** Somebody else at the same broker, who reads along, repeats what was said and says things that make no sense. */
export interface ThirdParty {
  /** The last messages of the publishers, for those who want to repeat them. */
  readonly heard: readonly ConsumeMessage[];
  forgetHeard(): void;
  /** Resolves when all that the broker had taken before has been heard; false when that took too long. */
  caughtUp(withinMs: number): Promise<boolean>;
  /** False when the broker cannot be reached or does not take it. */
  publish(body: Buffer, headers: Headers): Promise<boolean>;
  /** The same for what is to be heard, as that of a publisher. */
  publishAsSite(body: Buffer, headers: Headers): Promise<boolean>;
  /** From now on nothing is heard: what is heard must be a part of what reached the queue. */
  stopHearing(): Promise<void>;
  startHearing(): Promise<void>;
  /** Since when all is heard, unix milliseconds; undefined while it is not. */
  readonly hearsSinceMs: number | undefined;
  /** When nothing was heard, unix milliseconds. */
  readonly deaf: readonly Span[];
  /** Something with a channel of its own; rejects when the broker cannot be reached. */
  withChannel<T>(work: (channel: Channel) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const CHANNEL_WITHIN_MS = 20_000;
const PUBLISH_WITHIN_MS = 3_000;

/** Makes exchange and queue as the services would, and listens from then on. What is heard is passed on once. */
export async function thirdParty(
  address: RabbitmqAddress,
  hear: (message: ConsumeMessage) => void,
): Promise<ThirdParty> {
  const closing = new AbortController();
  const heard: ConsumeMessage[] = [];
  const marks = new Set<string>();
  const deaf: Span[] = [];
  let deafSinceMs: number | undefined;
  let connectedAtMs = 0;
  let voice: ConfirmChannel | undefined;
  let published = 0;
  const returns = new Map<string, () => void>();
  let connection: ChannelModel | undefined;

  const url = amqpUrl(address);
  const first = await connect(url);
  const channel = await first.createChannel();
  await channel.assertExchange(EXCHANGE, "topic", { durable: true });
  for (const queue of [QUEUE, TAP]) {
    await channel.assertQueue(queue, { durable: true });
    await channel.bindQueue(queue, EXCHANGE, ROUTING_KEY);
  }
  await first.close();

  function onMessage(message: ConsumeMessage): void {
    const mark: unknown = message.properties.headers?.[MARK];
    if (mark === NOT_A_PUBLISHER) return;
    if (typeof mark === "string") return void marks.add(mark);
    hear(message);
    heard.push(message);
    if (heard.length > MOST_KEPT) heard.shift();
  }

  async function listenOnce(): Promise<void> {
    const dialled = await connect(url, { timeout: 5_000 });
    // Not node's once, which rejects at an error that may come before anybody waits.
    const closed = new Promise<void>((resolve) => dialled.once("close", () => resolve()));
    dialled.on("error", () => {}); // told by the close
    try {
      if (closing.signal.aborted) return;
      const tap = await dialled.createChannel();
      tap.on("error", () => {});
      const speaking = await dialled.createConfirmChannel();
      speaking.on("error", () => {});
      speaking.on("return", (message) => returns.get(String(message.properties.messageId))?.());
      await tap.consume(TAP, (message) => {
        if (!message) return;
        onMessage(message);
        tap.ack(message);
      });
      connection = dialled;
      voice = speaking;
      connectedAtMs = Date.now();
      await closed;
    } finally {
      connection = undefined;
      voice = undefined;
      await closeQuietly(dialled);
    }
  }

  async function listen(): Promise<void> {
    while (!closing.signal.aborted) {
      await listenOnce().catch(() => {}); // the broker is away
      await sleep(REDIAL_MS, undefined, { signal: closing.signal }).catch(() => {}); // closed
    }
  }

  async function withChannel<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    for (const untilMs = Date.now() + CHANNEL_WITHIN_MS; !connection && Date.now() < untilMs;)
      await sleep(50);
    if (!connection) throw new Error("the soak has no connection to the broker");
    const own = await connection.createChannel();
    own.on("error", () => {});
    try {
      return await work(own);
    } finally {
      await closeQuietly(own);
    }
  }

  async function publish(exchange: string, key: string, body: Buffer, headers: Headers): Promise<boolean> {
    if (!voice) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), PUBLISH_WITHIN_MS);
    const messageId = `soak ${(published += 1)}`;
    // It comes before the confirm: what reaches no queue is not taken.
    returns.set(messageId, () => resolve(false));
    try {
      const options = { mandatory: true, persistent: true, messageId, headers };
      voice.publish(exchange, key, body, options, (error) => resolve(!error));
      return await promise;
    } catch {
      return false; // the channel is being closed
    } finally {
      clearTimeout(timer);
      returns.delete(messageId);
    }
  }

  const listening = listen();
  const bind = (channel: Channel) => channel.bindQueue(TAP, EXCHANGE, ROUTING_KEY);
  const unbind = (channel: Channel) => channel.unbindQueue(TAP, EXCHANGE, ROUTING_KEY);
  return {
    heard,
    forgetHeard: () => void (heard.length = 0),
    withChannel,
    publishAsSite: (body, headers) => publish(EXCHANGE, ROUTING_KEY, body, headers),
    publish: (body, headers) => publish(EXCHANGE, ROUTING_KEY, body, { ...headers, [MARK]: NOT_A_PUBLISHER }),
    get hearsSinceMs() {
      if (!connection || deafSinceMs !== undefined) return undefined;
      return Math.max(connectedAtMs, deaf.at(-1)?.toMs ?? 0);
    },
    deaf,
    async startHearing() {
      await withChannel(bind);
      deaf.push({ fromMs: deafSinceMs ?? Date.now(), toMs: Date.now() });
      deafSinceMs = undefined;
    },
    async stopHearing() {
      deafSinceMs = Date.now();
      await withChannel(unbind);
    },
    async caughtUp(withinMs) {
      const deadline = performance.now() + withinMs;
      const mark = `caught up ${performance.now()}`;
      // To the tap alone, behind all that waits in it.
      while (!(await publish("", TAP, Buffer.alloc(0), { [MARK]: mark }))) {
        if (performance.now() > deadline) return false;
        await sleep(REDIAL_MS);
      }
      while (!marks.has(mark) && performance.now() < deadline) await sleep(50);
      return marks.has(mark);
    },
    async close() {
      closing.abort();
      if (connection) await closeQuietly(connection);
      await listening;
    },
  };
}

/** Binds the queue of the heartbeats again, as an operator would who notices. */
export async function mendQueue(channel: Channel): Promise<void> {
  await channel.assertQueue(QUEUE, { durable: true });
  await channel.bindQueue(QUEUE, EXCHANGE, ROUTING_KEY);
}

export async function unbindQueue(channel: Channel): Promise<void> {
  await channel.unbindQueue(QUEUE, EXCHANGE, ROUTING_KEY);
}

export function amqpUrl({ host, amqpPort, user, password }: RabbitmqAddress): string {
  return `amqp://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${amqpPort}/`;
}
