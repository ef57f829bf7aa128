import { randomUUID } from "node:crypto";
import { connect, type ConsumeMessage } from "amqplib";
import { expect, onTestFinished, vi } from "vitest";

export interface HeardHeartbeats {
  /** All that has been published to the services' default exchange and key, in order. */
  readonly messages: readonly ConsumeMessage[];
  /** Resolves when all that the broker had confirmed before is among the messages. */
  caughtUp(): Promise<void>;
}

/** Listens from now on. */
export async function heardHeartbeats(amqpUrl: string): Promise<HeardHeartbeats> {
  const messages: ConsumeMessage[] = [];
  const marks: unknown[] = [];
  const connection = await connect(amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createChannel();
  await channel.assertExchange("my_topic_exchange", "topic");
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(queue, "my_topic_exchange", "service.heartbeat");
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
  };
}
