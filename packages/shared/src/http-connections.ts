import type { Server, Socket } from "node:net";

/**
 * Keeps a server's connections at `most`. At that number a newcomer takes the place of the oldest connection of the address
 * that has the most of them: net.Server's own maxConnections would turn newcomers away, and with them the probes of
 * whoever runs us, for as long as somebody else holds all places.
 * @returns ends all connections, those in a TLS handshake included, of which an HTTP server does not know yet
 */
export function boundConnections(server: Server, most: number): () => void {
  /** In the order in which they came. */
  const addresses = new Map<Socket, string>();

  function end(socket: Socket): void {
    addresses.delete(socket);
    socket.destroy();
  }

  server.on("connection", (socket: Socket) => {
    if (addresses.size >= most) end(oldestOfTheMost(addresses) ?? socket);
    addresses.set(socket, socket.remoteAddress ?? "");
    socket.once("close", () => addresses.delete(socket));
  });

  return () => [...addresses.keys()].forEach(end);
}

function oldestOfTheMost(addresses: ReadonlyMap<Socket, string>): Socket | undefined {
  const byAddress = Map.groupBy(addresses.keys(), (socket) => addresses.get(socket));
  let most: readonly Socket[] = [];
  for (const sockets of byAddress.values()) if (sockets.length > most.length) most = sockets;
  return most[0];
}
