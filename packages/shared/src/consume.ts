import type { Channel, ConsumeMessage } from "amqplib";
import { closeQuietly } from "./broker-connection.ts";
import type { BrokerSession } from "./broker-session.ts";
import { boundMessages, type Bounds } from "./bound-messages.ts";
import { catchUp } from "./catch-up.ts";
import { MAX_BODY_BYTES } from "./decode.ts";

/**
 * Messages that the broker hands over before the first of them is acknowledged, so also the largest batch. Together with
 * the most that is kept of a body it bounds the memory; four times as many made catching up no faster.
 */
const PREFETCH = 50;
/** A batch ends with the message that reaches this: what is decoded at once has to fit in memory. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** What is kept of a body that is too large. */
const HEAD_BYTES = 1024;

export interface Delivery {
  /** Of one that is too large only its first 1024 bytes. */
  readonly body: Buffer;
  /** Whatever the sender put there, of any type; absent when there are none. */
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  /** Date.now() at its arrival, however long it was in hand since. */
  readonly receivedAtMs: number;
  /** Whether it may have waited in the queue for us; if not, it came as soon as it was in the queue. */
  readonly hasWaited: boolean;
  /** Whether it was handed out before, and may have been dealt with by somebody who could not acknowledge it. */
  readonly isRedelivered: boolean;
  /** Why it is no heartbeat, whatever there is of its body. */
  readonly problem?: "too_large" | "unreadable_headers" | undefined;
  readonly origin?: Origin;
}

/** What is known of a message beside its body. Who sent it chose it all, but for `userId`, which the broker checks. */
export interface Origin {
  readonly exchange: string;
  readonly routingKey: string;
  readonly messageId: string | undefined;
  readonly userId: string | undefined;
  /** The size of the whole body. */
  readonly bodyBytes: number;
}

export interface Consumer {
  /** Whether messages that waited in the queue for us are still to be dealt with; for 30 s at most. */
  readonly isCatchingUp: boolean;
  /** Takes no more messages and resolves when the batch in hand has been acknowledged. Safe to call twice. */
  drain(): Promise<void>;
}

/**
 * Consumes a queue in batches of what has arrived, in order, one batch at a time. A batch is acknowledged as a whole
 * when `onBatch` resolves; it must deal with every message. When it rejects, the session is left, so that the broker
 * delivers the messages again.
 */
export async function consumeInBatches(
  { channel, lost, leave, countMessages, answered }: BrokerSession,
  queue: string,
  onBatch: (batch: readonly Delivery[], lost: AbortSignal) => Promise<void>,
): Promise<Consumer> {
  const backlog = catchUp(PREFETCH, performance.now());
  const boundsOf = boundMessages(channel.connection, { mostBytes: MAX_BODY_BYTES, headBytes: HEAD_BYTES });
  const waiting: Waiting[] = [];
  let work: Promise<void> | undefined;
  let isDraining = false;
  let canCount = true;

  async function workOff(): Promise<void> {
    while (waiting.length > 0 && !lost.aborted && !isDraining) {
      const batch = waiting.splice(0, batchLength(waiting));
      const deliveries = batch.map(({ delivery }) => delivery);
      await onBatch(deliveries, lost);
      const last = batch.at(-1);
      if (last && !lost.aborted && !acknowledge(channel, last.message)) return;
      const waited = batch.filter(({ isBacklog }) => isBacklog).length;
      backlog.dealtWith(batch.length, waited, performance.now());
      if (backlog.isUncounted && canCount) await count();
    }
  }

  /** Without an answer nothing changes: the backlog ends when the queue is seen to be empty. */
  async function count(): Promise<void> {
    const messages = await countMessages(queue).catch(() => undefined); // the connection is being lost
    if (messages === undefined) canCount = false;
    else backlog.counted(messages);
  }

  function onMessage(message: ConsumeMessage | null): void {
    if (message === null) {
      // The broker cancelled us: the queue was deleted or its node went away.
      void closeQuietly(channel);
      return;
    }
    const isBacklog = backlog.delivered(performance.now());
    // One that was in somebody's hands before is older than it looks.
    const { redelivered: isRedelivered } = message.fields;
    const hasWaited = isBacklog || isRedelivered;
    const { content: body, properties } = message;
    const bounds = boundsOf(properties);
    const delivery = {
      body,
      headers: properties.headers,
      receivedAtMs: Date.now(),
      hasWaited,
      isRedelivered,
      problem: bounds && problemOf(bounds),
      origin: originOf(message, bounds?.bodyBytes ?? body.length),
    };
    waiting.push({ message, isBacklog, delivery });
    work ??= workOff()
      .catch(leave) // the reason was logged by onBatch
      .finally(() => (work = undefined));
  }

  await answered(channel.prefetch(PREFETCH));
  await count();
  const { consumerTag } = await answered(channel.consume(queue, onMessage));
  return {
    get isCatchingUp() {
      return backlog.isCatchingUp(performance.now());
    },
    async drain() {
      isDraining = true;
      await channel.cancel(consumerTag).catch(() => {}); // the channel is gone, and with it the consumer
      await work;
    },
  };
}

interface Waiting {
  readonly message: ConsumeMessage;
  readonly isBacklog: boolean;
  readonly delivery: Delivery;
}

/** This message and all before it. False when the channel is at its end, of which the session tells. */
function acknowledge(channel: Channel, message: ConsumeMessage): boolean {
  try {
    channel.ack(message, true);
    return true;
  } catch {
    return false;
  }
}

/** How many of these make up the next batch: at least one. */
function batchLength(waiting: readonly Waiting[]): number {
  let bytes = 0;
  const last = waiting.findIndex(({ delivery }) => (bytes += delivery.body.length) >= BATCH_BYTES);
  return last === -1 ? waiting.length : last + 1;
}

function problemOf({ isReadable }: Bounds): Delivery["problem"] {
  return isReadable ? "too_large" : "unreadable_headers";
}

function originOf({ fields, properties }: ConsumeMessage, bodyBytes: number): Origin {
  const { exchange, routingKey } = fields;
  const [messageId, userId] = [text(properties.messageId), text(properties.userId)];
  return { exchange, routingKey, messageId, userId, bodyBytes };
}

function text(property: unknown): string | undefined {
  return typeof property === "string" ? property : undefined;
}
