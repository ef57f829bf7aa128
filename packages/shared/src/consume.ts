import type { ConsumeMessage } from "amqplib";
import type { BrokerSession } from "./broker.ts";

/** Messages that the broker hands over before the first of them is acknowledged, so also the largest batch. */
const PREFETCH = 200;

export interface Consumer {
  /** Takes no more messages and resolves when the batch in hand has been acknowledged. Safe to call twice. */
  drain(): Promise<void>;
}

/**
 * Consumes a queue in batches of whatever has arrived, in order, one batch at a time. A batch is acknowledged as a whole
 * when `onBatch` resolves; it must deal with every message. When it rejects, the channel is closed, so that the broker
 * delivers the messages again.
 */
export async function consumeInBatches(
  { channel, lost }: BrokerSession,
  queue: string,
  onBatch: (bodies: readonly Buffer[], lost: AbortSignal) => Promise<void>,
): Promise<Consumer> {
  let waiting: ConsumeMessage[] = [];
  let work: Promise<void> | undefined;
  let isDraining = false;

  async function workOff(): Promise<void> {
    while (waiting.length > 0 && !lost.aborted && !isDraining) {
      const batch = waiting;
      waiting = [];
      await onBatch(
        batch.map((message) => message.content),
        lost,
      );
      const last = batch.at(-1);
      if (last && !lost.aborted) channel.ack(last, true);
    }
  }

  function onMessage(message: ConsumeMessage | null): void {
    if (message === null) {
      // The broker cancelled us: the queue was deleted or its node went away.
      channel.close().catch(() => {}); // already closed
      return;
    }
    waiting.push(message);
    work ??= workOff()
      .catch(() => channel.close().catch(() => {})) // the reason was logged by onBatch; closed already is fine, too
      .finally(() => (work = undefined));
  }

  await channel.prefetch(PREFETCH);
  const { consumerTag } = await channel.consume(queue, onMessage);
  return {
    async drain() {
      isDraining = true;
      await channel.cancel(consumerTag).catch(() => {}); // the channel is gone, and with it the consumer
      await work;
    },
  };
}
