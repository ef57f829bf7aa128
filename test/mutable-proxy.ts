import { once } from "node:events";
import net from "node:net";
import { onTestFinished } from "vitest";

export interface MutableProxy {
  readonly port: number;
  /** From now on nothing passes any more, in either direction, and no connection is closed. */
  mute(): void;
}

/** A way to a server on 127.0.0.1 that can fall silent, as a network does that drops packets. */
export async function mutableProxy(target: { host: string; port: number }): Promise<MutableProxy> {
  const sockets = new Set<net.Socket>();
  let isMute = false;
  const server = net.createServer((near) => {
    const far = net.connect(target);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("error", () => {}); // either end may reset
      from.on("data", (data) => !isMute && to.write(data));
      from.on("close", () => !isMute && to.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    mute: () => (isMute = true),
  };
}
