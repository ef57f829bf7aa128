import { once } from "node:events";
import net from "node:net";
import { onTestFinished } from "vitest";

export interface RawPeer {
  readonly port: number;
  /** How many connections are open. */
  readonly connections: () => number;
}

/** A port of 127.0.0.1 that does with each connection what it is told. */
export async function rawPeer(meet: (socket: net.Socket) => void): Promise<RawPeer> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
    // Whoever is read from is seen to go away.
    socket.resume();
    meet(socket);
  });
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  return { port: typeof address === "object" && address ? address.port : 0, connections: () => sockets.size };
}

/** Writes for as long as anybody reads. */
export function flood(socket: net.Socket, bytes: Buffer | string): void {
  while (socket.writable && socket.write(bytes));
  if (socket.writable) socket.once("drain", () => flood(socket, bytes));
}
