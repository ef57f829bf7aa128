import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { sharedLookup } from "@pipeline-heartbeat/shared/shared-lookup.ts";
import { type ChainCertificate, chainOf } from "@pipeline-heartbeat/shared/shown-certificate.ts";
import { isTlsFault } from "@pipeline-heartbeat/shared/tls-problem.ts";
import { type TlsSettings, tlsOptions } from "@pipeline-heartbeat/shared/tls.ts";

/** So long a server is given to refuse a client's certificate. Most of them answer at once. */
const REFUSAL_TIMEOUT_MS = 500;

/**
 * The certificates that a server shows in a handshake that succeeds, its own first; the last may be the authority that
 * is trusted. Rejects when there is none. Nothing is sent over TLS.
 */
export async function handshake(
  { host, port }: { readonly host: string; readonly port: number },
  settings: TlsSettings,
  signal: AbortSignal,
): Promise<readonly ChainCertificate[]> {
  const socket = connect({ host, port, lookup: sharedLookup, ...tlsOptions(settings) });
  // From the first: what a server answers may come together with the end of the handshake.
  const answer = answerOf(socket);
  try {
    await once(socket, "secureConnect", { signal });
    const shown = chainOf(socket);
    if (socket.getProtocol() !== "TLSv1.2") await acceptance(socket, answer, signal);
    return shown;
  } finally {
    socket.destroy();
  }
}

/**
 * In TLS 1.3 a client is done before the server has seen the client's certificate, or that there is none. A server that
 * refuses says so by an alert; one that does not sends a ticket for a next session, or data, or ends what we have ended.
 */
async function acceptance(
  socket: TLSSocket,
  answer: Promise<Error | undefined>,
  signal: AbortSignal,
): Promise<void> {
  socket.end();
  const answered = new AbortController();
  const enough = sleep(REFUSAL_TIMEOUT_MS, undefined, { signal: AbortSignal.any([signal, answered.signal]) });
  const refusal = await Promise.race([answer, enough.catch(() => {})]);
  answered.abort();
  if (refusal) throw refusal;
}

/** What TLS says, if it does: after the handshake a lost connection may be the server's way to end one. */
function answerOf(socket: TLSSocket): Promise<Error | undefined> {
  return new Promise((resolve) => {
    for (const event of ["session", "data", "end", "close"]) socket.once(event, () => resolve(undefined));
    // It stays: an error that comes after the deadline would be uncaught.
    socket.on("error", (error) => resolve(isTlsFault(error) ? error : undefined));
  });
}
