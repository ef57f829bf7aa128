import { connect } from "amqplib";
import type { RabbitmqAddress } from "./addresses.ts";

const ANSWER_WITHIN_MS = 5_000;

/** Rejects unless RabbitMQ lets this user in. */
export async function tryAmqpLogin({ host, amqpPort, user, password }: RabbitmqAddress, signal: AbortSignal) {
  const connecting = connect(
    { hostname: host, port: amqpPort, username: user, password },
    { timeout: ANSWER_WITHIN_MS },
  );
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("called off")), { once: true });
  });
  try {
    const connection = await Promise.race([connecting, aborted]);
    await connection.close();
  } catch (error) {
    // What comes after the signal is closed as well.
    connecting.then((connection) => connection.close()).catch(() => {});
    throw error;
  }
}
