import type { BrokerSession } from "./broker.ts";
import type { Topology } from "./topology.ts";

const CONFIRM_TIMEOUT_MS = 10_000;

export interface MessageProperties {
  readonly messageId: string;
  /** Unix milliseconds. */
  readonly timestampMs: number;
  readonly expirationMs: number;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** @throws when the message is refused, returned as unroutable, or not confirmed in time */
export async function publishConfirmed(
  { channel, lost }: BrokerSession,
  { exchange, queue, routingKey }: Topology,
  body: Buffer,
  { messageId, timestampMs, expirationMs, headers }: MessageProperties,
): Promise<void> {
  let returned = false;
  const onReturn = (message: { properties: { messageId?: unknown } }) => {
    if (message.properties.messageId === messageId) returned = true;
  };
  // RabbitMQ sends the return before the confirm.
  channel.on("return", onReturn);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onLost = () => reject(new Error("the connection was lost before the confirm"));
  lost.addEventListener("abort", onLost);
  const timer = setTimeout(
    () => reject(new Error(`no confirm within ${CONFIRM_TIMEOUT_MS / 1000} s`)),
    CONFIRM_TIMEOUT_MS,
  );
  try {
    channel.publish(
      exchange,
      routingKey,
      body,
      {
        mandatory: true,
        persistent: true,
        contentType: "application/json",
        messageId,
        timestamp: Math.floor(timestampMs / 1000),
        expiration: String(expirationMs),
        headers,
      },
      (error: unknown) =>
        error
          ? reject(new Error(`exchange '${exchange}' does not take the message`, { cause: error }))
          : resolve(),
    );
    await promise;
    if (returned)
      throw new Error(
        `no queue is bound for it: exchange '${exchange}', routing key '${routingKey}' (queue '${queue}')`,
      );
  } finally {
    clearTimeout(timer);
    lost.removeEventListener("abort", onLost);
    channel.off("return", onReturn);
  }
}
