import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { sharedLookup } from "@pipeline-heartbeat/shared/shared-lookup.ts";
import { type ChainCertificate, chainOf } from "@pipeline-heartbeat/shared/shown-certificate.ts";
import { type TlsSettings, tlsOptions } from "@pipeline-heartbeat/shared/tls.ts";

/** So long a server is given at least to accept or refuse us, and so many times what the handshake took. */
const LEAST_ANSWER_MS = 500;
const ANSWER_HANDSHAKES = 3;

/**
 * The certificates that a server shows in a handshake that succeeds, its own first; the last may be the authority that
 * is trusted. Rejects when there is none. Nothing is sent over TLS.
 */
export async function handshake(
  { host, port }: { readonly host: string; readonly port: number },
  settings: TlsSettings,
  signal: AbortSignal,
): Promise<readonly ChainCertificate[]> {
  const startedMs = performance.now();
  const socket = connect({ host, port, lookup: sharedLookup, ...tlsOptions(settings) });
  // From the first: what a server answers may come together with the end of the handshake.
  const answer = answerOf(socket);
  try {
    await once(socket, "secureConnect", { signal });
    const shown = chainOf(socket);
    const waitMs = Math.max(LEAST_ANSWER_MS, ANSWER_HANDSHAKES * (performance.now() - startedMs));
    if (socket.getProtocol() !== "TLSv1.2") await acceptance(answer, waitMs, signal);
    return shown;
  } finally {
    socket.destroy();
  }
}

/**
 * In TLS 1.3 a client is done before the server has seen the client's certificate, or that there is none. A server that
 * refuses says so by an alert, or hangs up; one that does not sends a ticket for a next session, or data, or waits for us.
 * Nothing is ended before: what stands between might take the answer away.
 */
async function acceptance(
  answer: Promise<Error | undefined>,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const answered = new AbortController();
  const enough = sleep(waitMs, undefined, { signal: AbortSignal.any([signal, answered.signal]) });
  const refusal = await Promise.race([answer, enough.catch(() => {})]);
  answered.abort();
  signal.throwIfAborted();
  if (refusal) throw refusal;
}

/** Undefined when the server goes on with us. */
function answerOf(socket: TLSSocket): Promise<Error | undefined> {
  return new Promise((resolve) => {
    for (const event of ["session", "data"]) socket.once(event, () => resolve(undefined));
    for (const event of ["end", "close"]) socket.once(event, () => resolve(hungUp()));
    // It stays: an error that comes after the deadline would be uncaught.
    socket.on("error", resolve);
  });
}

function hungUp(): Error {
  return Object.assign(new Error("the server hung up after the handshake"), { code: "ECONNRESET" });
}
