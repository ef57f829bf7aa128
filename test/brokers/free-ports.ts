import { randomInt } from "node:crypto";
import { once } from "node:events";
import net from "node:net";

const ATTEMPTS = 3;
const ATTEMPTS_TO_LISTEN = 20;
/** Below those that connections are made from, any of which could come to be at a port that is not in use yet. */
const [FIRST_PORT, END_OF_PORTS] = [20_000, 32_000];
/** The words of Redis, RabbitMQ and Erlang; epmd ends without a word. */
const PORT_TAKEN = /eaddrinuse|address already in use|epmd: ended|register\/listen error/i;

/**
 * Calls `work` with that many ports of 127.0.0.1 that were free a moment ago. Somebody else can still take one before
 * `work` does: it is called again with others when it fails with an error that says so.
 */
export async function onFreePorts<T>(count: number, work: (ports: number[]) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const ports = await freePorts(count);
    try {
      return await work(ports);
    } catch (error) {
      if (attempt === ATTEMPTS || !PORT_TAKEN.test(String(error))) throw error;
    }
  }
}

/** All are held until the last one is found, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const holders = Array.from({ length: count }, () => net.createServer());
  const ports = await Promise.all(holders.map(listenAtFreePort));
  await Promise.all(holders.map((holder) => once(holder.close(), "close")));
  return ports;
}

/** Has a server listen at a port of 127.0.0.1, to which it can come back at any time. */
export async function listenAtFreePort(server: net.Server): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = randomInt(FIRST_PORT, END_OF_PORTS);
    try {
      await once(server.listen(port, "127.0.0.1"), "listening");
      return port;
    } catch (error) {
      if (attempt === ATTEMPTS_TO_LISTEN) throw error;
    }
  }
}
