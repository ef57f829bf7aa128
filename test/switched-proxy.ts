import { once } from "node:events";
import net from "node:net";
import { onTestFinished } from "vitest";
import { freePorts } from "./brokers/free-ports.ts";

export interface SwitchedProxy {
  readonly port: number;
  /** What each connection sent first, in order. */
  readonly heard: readonly string[];
  /** From now on the port is open. */
  on(): Promise<void>;
  /** Ends what is connected; from now on nobody listens at the port. */
  off(): Promise<void>;
}

/** A way to a server, by a port of 127.0.0.1 that is refused until it is switched on. */
export async function switchedProxy(target: { host: string; port: number }): Promise<SwitchedProxy> {
  const [port = 0] = await freePorts(1);
  const sockets = new Set<net.Socket>();
  const heard: string[] = [];
  const server = net.createServer((near) => {
    near.once("data", (data) => heard.push(data.toString()));
    const far = net.connect(target);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("error", () => {}); // either end may reset
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });

  async function off(): Promise<void> {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  onTestFinished(off);
  return {
    port,
    heard,
    async on() {
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
    },
    off,
  };
}
