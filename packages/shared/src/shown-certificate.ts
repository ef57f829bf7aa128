import { once } from "node:events";
import { connect, type DetailedPeerCertificate } from "node:tls";
import type { ShownCertificate } from "./tls-problem.ts";
import { type TlsSettings, tlsOptions } from "./tls.ts";

const LOOK_TIMEOUT_MS = 2_000;
/** Longer chains are cut: a server can send anything. */
const MAX_CHAIN = 10;

/**
 * The certificates that a server shows, its own first, for the words in which to refuse it: Node tells neither issuer nor
 * dates. The server is refused here, too, and nothing is sent to it. Undefined when it shows none. Never rejects.
 */
export async function shownCertificates(
  host: string,
  port: number,
  tls: TlsSettings,
): Promise<readonly ShownCertificate[] | undefined> {
  let shown: readonly ShownCertificate[] | undefined;
  try {
    const socket = connect({ host, port, ...tlsOptions(tls), timeout: LOOK_TIMEOUT_MS });
    // After the handshake and before Node destroys the socket for the certificate: undocumented, so it may show nothing.
    socket.prependListener("secure", () => (shown = chainOf(socket.getPeerCertificate(true))));
    socket.on("timeout", () => socket.destroy());
    socket.on("secureConnect", () => socket.destroy());
    socket.on("error", () => {}); // it was expected
    await once(socket, "close");
  } catch {
    // The files are unusable: there was no connection.
  }
  return shown;
}

function chainOf(own: DetailedPeerCertificate): ShownCertificate[] {
  const chain: ShownCertificate[] = [];
  let next: DetailedPeerCertificate | undefined = own;
  // A root is its own issuer.
  for (let last; next?.valid_to && next !== last && chain.length < MAX_CHAIN; next = last.issuerCertificate) {
    last = next;
    const [validFrom, validUntil] = [new Date(next.valid_from), new Date(next.valid_to)];
    if (Number.isNaN(validFrom.getTime() + validUntil.getTime())) break;
    chain.push({ subject: nameOf(next.subject), issuer: nameOf(next.issuer), validFrom, validUntil });
  }
  return chain;
}

function nameOf(subject: DetailedPeerCertificate["subject"]): string {
  return String(subject.CN ?? subject.O ?? "");
}
