import type { ConsumeMessage } from "amqplib";
import type { BrokerSession } from "./broker.ts";
import { catchUp } from "./catch-up.ts";

/** Messages that the broker hands over before the first of them is acknowledged, so also the largest batch. */
const PREFETCH = 200;

export interface Delivery {
  readonly body: Buffer;
  /** Whatever the sender put there, of any type; absent when there are none. */
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  /** Date.now() at its arrival, however long it was in hand since. */
  readonly receivedAtMs: number;
  /** Whether it may have waited in the queue for us; if not, it came as soon as it was in the queue. */
  readonly hasWaited: boolean;
  /** Whether it was handed out before, and may have been dealt with by somebody who could not acknowledge it. */
  readonly isRedelivered: boolean;
}

export interface Consumer {
  /** Whether messages that waited in the queue for us are still to be dealt with; for 30 s at most. */
  readonly isCatchingUp: boolean;
  /** Takes no more messages and resolves when the batch in hand has been acknowledged. Safe to call twice. */
  drain(): Promise<void>;
}

/**
 * Consumes a queue in batches of whatever has arrived, in order, one batch at a time. A batch is acknowledged as a whole
 * when `onBatch` resolves; it must deal with every message. When it rejects, the channel is closed, so that the broker
 * delivers the messages again.
 */
export async function consumeInBatches(
  { channel, lost, countMessages }: BrokerSession,
  queue: string,
  onBatch: (batch: readonly Delivery[], lost: AbortSignal) => Promise<void>,
): Promise<Consumer> {
  const backlog = catchUp(PREFETCH, performance.now());
  let waiting: { message: ConsumeMessage; isBacklog: boolean; delivery: Delivery }[] = [];
  let work: Promise<void> | undefined;
  let isDraining = false;
  let canCount = true;

  async function workOff(): Promise<void> {
    while (waiting.length > 0 && !lost.aborted && !isDraining) {
      const batch = waiting;
      waiting = [];
      const deliveries = batch.map(({ delivery }) => delivery);
      await onBatch(deliveries, lost);
      const last = batch.at(-1);
      if (last && !lost.aborted) channel.ack(last.message, true);
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
      channel.close().catch(() => {}); // already closed
      return;
    }
    const isBacklog = backlog.delivered(performance.now());
    // One that was in somebody's hands before is older than it looks.
    const { redelivered: isRedelivered } = message.fields;
    const hasWaited = isBacklog || isRedelivered;
    const { content: body, properties } = message;
    const { headers } = properties;
    const delivery = { body, headers, receivedAtMs: Date.now(), hasWaited, isRedelivered };
    waiting.push({ message, isBacklog, delivery });
    work ??= workOff()
      .catch(() => channel.close().catch(() => {})) // the reason was logged by onBatch; closed already is fine, too
      .finally(() => (work = undefined));
  }

  await channel.prefetch(PREFETCH);
  await count();
  const { consumerTag } = await channel.consume(queue, onMessage);
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
