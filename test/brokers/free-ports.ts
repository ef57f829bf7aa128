import { once } from "node:events";
import net from "node:net";

const ATTEMPTS = 3;
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
  const holders = await Promise.all(Array.from({ length: count }, () => holdPort()));
  const ports = holders.map(portOf);
  await Promise.all(holders.map((holder) => once(holder.close(), "close")));
  return ports;
}

function portOf(holder: net.Server): number {
  const address = holder.address();
  if (address === null || typeof address === "string") throw new Error("a tcp server without a port");
  return address.port;
}

async function holdPort(): Promise<net.Server> {
  const holder = net.createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  return holder;
}
