import { randomUUID } from "node:crypto";
import { connect, type ConsumeMessage } from "amqplib";
import { expect, onTestFinished, vi } from "vitest";

export interface HeardHeartbeats {
  /** All that has been published to the services' default exchange and key, in order. */
  readonly messages: readonly ConsumeMessage[];
  /** Resolves when all that the broker had confirmed before is among the messages. */
  caughtUp(): Promise<void>;
  /** Takes the binding away, and so what is published to nobody else is returned, until it is `bound` again. */
  unbound(): Promise<void>;
  bound(): Promise<void>;
}

const EXCHANGE = "my_topic_exchange";
const ROUTING_KEY = "service.heartbeat";

/** Listens from now on. */
export async function heardHeartbeats(amqpUrl: string): Promise<HeardHeartbeats> {
  const messages: ConsumeMessage[] = [];
  const marks: unknown[] = [];
  const connection = await connect(amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createChannel();
  await channel.assertExchange(EXCHANGE, "topic");
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(queue, EXCHANGE, ROUTING_KEY);
  function hear(message: ConsumeMessage | null): void {
    if (message?.properties.type === "mark") marks.push(message.properties.messageId);
    else if (message) messages.push(message);
  }
  await channel.consume(queue, hear, { noAck: true });
  return {
    messages,
    async caughtUp() {
      const messageId = randomUUID();
      channel.sendToQueue(queue, Buffer.alloc(0), { type: "mark", messageId });
      await vi.waitFor(() => expect(marks).toContain(messageId), { timeout: 5_000 });
    },
    unbound: async () => void (await channel.unbindQueue(queue, EXCHANGE, ROUTING_KEY)),
    bound: async () => void (await channel.bindQueue(queue, EXCHANGE, ROUTING_KEY)),
  };
}
