import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { PemFile } from "./pem-file.ts";

/** How to speak TLS to a server. */
export interface TlsSettings {
  /** Undefined: the system's authorities are trusted. */
  readonly ca: PemFile | undefined;
  /** For mutual TLS, with `key`. */
  readonly cert: PemFile | undefined;
  readonly key: PemFile | undefined;
  /** The name, or the address, that the server's certificate is checked against. */
  readonly serverName: string;
}

/** Node's options for one connection, with the files as they are at this moment. */
export function tlsOptions(settings: TlsSettings) {
  return { ...tlsChecks(settings), ...tlsFiles(settings) };
}

/** What is demanded of a server, and the same for every connection. */
export function tlsChecks({ serverName }: Pick<TlsSettings, "serverName">) {
  return {
    // Said outright: NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment would silently turn the default off.
    rejectUnauthorized: true,
    // RFC 6066 allows no address to be sent as the name.
    ...(isIP(serverName) === 0 && { servername: serverName }),
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      checkServerIdentity(serverName, certificate),
  };
}

/** The contents of the files at this moment. */
export function tlsFiles({ ca, cert, key }: TlsSettings) {
  return {
    ...(ca && { ca: ca.read() }),
    ...(cert && { cert: cert.read() }),
    ...(key && { key: key.read() }),
  };
}
