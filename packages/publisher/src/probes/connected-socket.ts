import { once } from "node:events";
import net from "node:net";
import { addAbortSignal } from "node:stream";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { sharedLookup } from "@pipeline-heartbeat/shared/shared-lookup.ts";
import { tlsOptions } from "@pipeline-heartbeat/shared/tls.ts";
import { isSelf } from "./tcp.ts";

/**
 * A socket that is connected and, with TLS, whose peer has shown a good certificate. The signal destroys it; whoever has it
 * destroys it before. `protocols` are what ALPN offers.
 */
export async function connectedSocket(
  { host, port, tls }: Endpoint,
  signal: AbortSignal,
  protocols: string[] = [],
): Promise<net.Socket | TLSSocket> {
  const to = { host, port, lookup: sharedLookup };
  const socket = tls
    ? connectTls({ ...to, ...tlsOptions(tls), ...(protocols.length > 0 && { ALPNProtocols: protocols }) })
    : net.connect(to);
  // One that comes when nobody waits any more would be uncaught.
  socket.on("error", () => {});
  addAbortSignal(signal, socket);
  try {
    await once(socket, tls ? "secureConnect" : "connect", { signal });
    if (isSelf(socket)) throw connectionError("ECONNREFUSED", "the socket is connected with itself");
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** As the system's own. */
export function connectionError(code: "ECONNREFUSED" | "ECONNRESET", message: string): Error {
  return Object.assign(new Error(message), { code });
}
