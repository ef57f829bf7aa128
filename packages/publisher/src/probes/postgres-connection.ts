import { on, once } from "node:events";
import net from "node:net";
import { connect as connectTls } from "node:tls";
import type { Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { sharedLookup } from "@pipeline-heartbeat/shared/shared-lookup.ts";
import { tlsOptions } from "@pipeline-heartbeat/shared/tls.ts";
import { PostgresFault, SSL_REQUEST } from "./postgres-messages.ts";
import { isSelf } from "./tcp.ts";

/** So long the server has to close the connection after our farewell. */
const FAREWELL_MS = 250;

/** A connection on which nothing has been said yet, with TLS where the endpoint has it: never without it instead. */
export async function connectPostgres(endpoint: Endpoint, signal: AbortSignal): Promise<net.Socket> {
  const { host, port, tls } = endpoint;
  const plain = net.connect({ host, port, lookup: sharedLookup, noDelay: true });
  // One that comes after the deadline would be uncaught.
  plain.on("error", () => {});
  try {
    await once(plain, "connect", { signal });
    if (isSelf(plain)) throw new PostgresFault("connection_refused", "nothing listens there");
    if (!tls) return plain;
    await agreeOnTls(plain, signal);
    const secure = connectTls({ socket: plain, ...tlsOptions(tls) });
    secure.on("error", () => {});
    await once(secure, "secureConnect", { signal });
    return secure;
  } catch (error) {
    plain.destroy();
    throw error;
  }
}

async function agreeOnTls(socket: net.Socket, signal: AbortSignal): Promise<void> {
  socket.write(SSL_REQUEST);
  const answer = await firstOf(socket, signal, (chunk) => chunk.toString("latin1"));
  // Else what comes next would be gone before TLS reads it.
  socket.pause();
  // More than the letter would be what somebody on the way wants to be taken for the server's words inside of TLS.
  if (answer === "S") return;
  if (answer === "N") throw new PostgresFault("tls_failed", "the server offers no TLS");
  throw new PostgresFault("protocol_error", "the question for TLS was answered with something else");
}

/** Resolves to the first thing that `find` makes of what comes. Rejects when there is none before the end. */
export async function firstOf<Found>(
  socket: net.Socket,
  signal: AbortSignal,
  find: (chunk: Buffer) => Found | undefined,
): Promise<Found> {
  for await (const event of on(socket, "data", { signal, close: ["end", "close"] })) {
    const [chunk]: Buffer[] = event;
    const found = chunk && find(chunk);
    if (found !== undefined) return found;
  }
  throw closedEarly();
}

export function closedEarly(): PostgresFault {
  return new PostgresFault("connection_reset", "the connection was closed before there was an answer");
}

/**
 * Ends a connection, with a last message upon which the server closes it, or without a word. What the server still sends
 * is read: a connection that is closed over unread bytes is reset, and a server's log complains of that.
 */
export async function sayFarewell(socket: net.Socket, last: Buffer | undefined): Promise<void> {
  if (!socket.destroyed) {
    socket.resume();
    // No end comes with a message: a pooler passes on no request to cancel of somebody who has left.
    if (last) socket.write(last);
    else socket.end();
    await once(socket, "close", { signal: AbortSignal.timeout(FAREWELL_MS) }).catch(() => {});
  }
  socket.destroy();
}
