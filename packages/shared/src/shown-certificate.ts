import { once } from "node:events";
import { connect, type DetailedPeerCertificate, type TLSSocket } from "node:tls";
import type { ShownCertificate } from "./tls-problem.ts";
import { type TlsSettings, tlsOptions } from "./tls.ts";

const LOOK_TIMEOUT_MS = 2_000;
/** Longer chains are cut: a server can send anything. */
const MAX_CHAIN = 10;

export interface ChainCertificate extends ShownCertificate {
  /** It is its own issuer, as an authority is that stands at the end of a chain. */
  readonly isSelfIssued: boolean;
}

/**
 * The certificates that a server shows, its own first, for the words in which to refuse it: Node tells neither issuer nor
 * dates. The server is refused here, too, and nothing is sent to it. Undefined when it shows none. Never rejects.
 */
export async function shownCertificates(
  host: string,
  port: number,
  tls: TlsSettings,
): Promise<readonly ChainCertificate[] | undefined> {
  let shown: readonly ChainCertificate[] | undefined;
  try {
    const socket = connect({ host, port, ...tlsOptions(tls), timeout: LOOK_TIMEOUT_MS });
    // After the handshake and before Node destroys the socket for the certificate: undocumented, so it may show nothing.
    socket.prependListener("secure", () => (shown = chainOf(socket)));
    socket.on("timeout", () => socket.destroy());
    socket.on("secureConnect", () => socket.destroy());
    socket.on("error", () => {}); // it was expected
    await once(socket, "close");
  } catch {
    // The files are unusable: there was no connection.
  }
  return shown;
}

/** The server's own certificate first. Where its issuer is not shown but trusted, that ends the chain. */
export function chainOf(socket: TLSSocket): ChainCertificate[] {
  const chain: ChainCertificate[] = [];
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  // A root is its own issuer.
  for (let last; next?.valid_to && next !== last && chain.length < MAX_CHAIN; next = last.issuerCertificate) {
    last = next;
    const [validFrom, validUntil] = [new Date(next.valid_from), new Date(next.valid_to)];
    if (Number.isNaN(validFrom.getTime() + validUntil.getTime())) break;
    const isSelfIssued = next.issuerCertificate === next;
    const [subject, issuer] = [nameOf(next.subject), nameOf(next.issuer)];
    chain.push({ subject, issuer, validFrom, validUntil, isSelfIssued });
  }
  return chain;
}

function nameOf(subject: DetailedPeerCertificate["subject"]): string {
  return String(subject.CN ?? subject.O ?? "");
}
