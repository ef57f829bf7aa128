import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const BETWEEN_LOOKS_MS = 5;
const GIVE_UP_AFTER_MS = 120_000;

/** Resolves when `isTrue` does with true; rejects after two minutes. */
export async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = AbortSignal.timeout(GIVE_UP_AFTER_MS);
  while (!(await isTrue())) {
    deadline.throwIfAborted();
    await sleep(BETWEEN_LOOKS_MS);
  }
}

/** Date.now() when a port of 127.0.0.1 first accepts a connection. */
export async function untilOpen(port: number): Promise<number> {
  await until(async () => {
    const socket = net.connect({ host: "127.0.0.1", port });
    try {
      await once(socket, "connect");
      return true;
    } catch {
      return false; // nobody listens yet
    } finally {
      socket.destroy();
    }
  });
  return Date.now();
}
