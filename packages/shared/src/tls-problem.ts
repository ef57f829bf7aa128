import { errorCode } from "./error-code.ts";
import type { TlsSettings } from "./tls.ts";

/** A certificate of a server's chain, as far as it helps to tell what is wrong with it. */
export interface ShownCertificate {
  readonly subject: string;
  readonly issuer: string;
  readonly validFrom: Date;
  readonly validUntil: Date;
}

export interface TlsEndpoint {
  /** `host:port` */
  readonly at: string;
  readonly tls: TlsSettings | undefined;
  /** What the server shows, its own certificate first, where that is known. */
  readonly shown?: readonly ShownCertificate[] | undefined;
}

const NAME_MISMATCH = "ERR_TLS_CERT_ALTNAME_INVALID";
/** Node's codes for a server's certificate that OpenSSL does not accept. */
const UNVERIFIED: ReadonlySet<string> = new Set(
  `CERT_CHAIN_TOO_LONG CERT_HAS_EXPIRED CERT_NOT_YET_VALID CERT_REJECTED CERT_REVOKED CERT_SIGNATURE_FAILURE
   CERT_UNTRUSTED CRL_HAS_EXPIRED CRL_NOT_YET_VALID CRL_SIGNATURE_FAILURE DEPTH_ZERO_SELF_SIGNED_CERT
   ERROR_IN_CERT_NOT_AFTER_FIELD ERROR_IN_CERT_NOT_BEFORE_FIELD HOSTNAME_MISMATCH INVALID_CA INVALID_PURPOSE
   PATH_LENGTH_EXCEEDED SELF_SIGNED_CERT_IN_CHAIN UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY
   UNABLE_TO_DECRYPT_CERT_SIGNATURE UNABLE_TO_GET_CRL UNABLE_TO_GET_ISSUER_CERT
   UNABLE_TO_GET_ISSUER_CERT_LOCALLY UNABLE_TO_VERIFY_LEAF_SIGNATURE UNSPECIFIED`.split(/\s+/),
);

const MAX_NAMES_LENGTH = 200;

/** Whether TLS, and not the network or what is spoken over it, is what went wrong. */
export function isTlsFault(error: unknown): boolean {
  const code = errorCode(error);
  if (code === undefined) return false;
  return code === NAME_MISMATCH || UNVERIFIED.has(code) || opensslFault(error, code) !== undefined;
}

/** Whether a server was not connected to because OpenSSL does not accept its certificate; its name is another matter. */
export function isUnverified(error: unknown): boolean {
  return UNVERIFIED.has(errorCode(error) ?? "");
}

/** What is wrong with TLS, in one line that names what to look at; undefined when it is something else. */
export function tlsProblem(error: unknown, endpoint: TlsEndpoint): string | undefined {
  const code = errorCode(error);
  if (code === undefined) return undefined;
  if (code === NAME_MISMATCH) return nameProblem(error, endpoint);
  if (UNVERIFIED.has(code)) return certificateProblem(code, endpoint);
  const fault = opensslFault(error, code);
  return fault === undefined ? undefined : handshakeProblem(fault, endpoint);
}

function nameProblem(error: unknown, { at, tls }: TlsEndpoint): string {
  const wanted = tls ? `'${tls.serverName}'` : "this name";
  return `the certificate of ${at} is not for ${wanted} but for ${namesOf(error)}`;
}

/** `DNS:mq.example, IP Address:10.0.0.7`, from Node's error for a name that does not match. */
function namesOf(error: unknown): string {
  const certificate: unknown = error instanceof Error && "cert" in error ? error.cert : undefined;
  if (typeof certificate !== "object" || certificate === null) return "another";
  if ("subjectaltname" in certificate && typeof certificate.subjectaltname === "string") {
    return certificate.subjectaltname.slice(0, MAX_NAMES_LENGTH);
  }
  const subject = "subject" in certificate ? certificate.subject : undefined;
  return typeof subject === "object" && subject !== null && "CN" in subject
    ? `CN:${String(subject.CN).slice(0, MAX_NAMES_LENGTH)}`
    : "no name at all";
}

function certificateProblem(code: string, { at, tls, shown = [] }: TlsEndpoint): string {
  const own = shown[0];
  switch (code) {
    case "CERT_HAS_EXPIRED": {
      const [first] = shown.toSorted((a, b) => a.validUntil.getTime() - b.validUntil.getTime());
      return `${certificateOf(first, own, at)} ${first ? `expired at ${first.validUntil.toISOString()}` : "has expired"}`;
    }
    case "CERT_NOT_YET_VALID": {
      const [last] = shown.toSorted((a, b) => b.validFrom.getTime() - a.validFrom.getTime());
      const since = last ? ` before ${last.validFrom.toISOString()}` : " yet";
      return `${certificateOf(last, own, at)} is not valid${since} (or this machine's clock is wrong)`;
    }
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "CERT_SIGNATURE_FAILURE":
    case "CERT_UNTRUSTED":
      return unknownAuthority(at, tls, own);
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return `${unknownAuthority(at, tls, own)}, or the server leaves out an intermediate certificate`;
    default:
      return `the certificate of ${at} is not accepted (${code})`;
  }
}

/** The one at fault may be an authority's in the chain. */
function certificateOf(faulty: ShownCertificate | undefined, own: ShownCertificate | undefined, at: string) {
  return faulty === own
    ? `the certificate of ${at}`
    : `the authority's certificate '${faulty?.subject}' in the chain of ${at}`;
}

function unknownAuthority(
  at: string,
  tls: TlsSettings | undefined,
  own: ShownCertificate | undefined,
): string {
  const issuer = own ? ` (issued by '${own.issuer}')` : "";
  const trusted = tls?.ca ? `in ${tls.ca.path}` : "that this system trusts, and no CA file is set";
  return `the certificate of ${at}${issuer} is not from an authority ${trusted}`;
}

/** OpenSSL's own words, without numbers that change, such as `tlsv1 alert unknown ca`. */
function opensslFault(error: unknown, code: string): string | undefined {
  // A handshake that fails while we write is an EPROTO with the words in its message.
  const words = error instanceof Error && /:SSL routines:[^:]*:([^:]+):/.exec(error.message)?.[1];
  if (words) return words.toLowerCase();
  const named = /^ERR_(?:SSL|OSSL|TLS)_(.+)$/.exec(code)?.[1];
  return named?.replaceAll("_", " ").toLowerCase();
}

/** The first pattern that fits decides. Alerts are what the server says of us. */
function handshakeProblem(fault: string, { at, tls }: TlsEndpoint): string {
  const cert = tls?.cert?.path;
  if (/wrong version number|packet length too long|http request/.test(fault)) {
    return `${at} does not speak TLS (is it the right port?)`;
  }
  if (/unrecognized name/.test(fault)) return `${at} does not serve the name '${tls?.serverName}'`;
  if (CLIENT_CERTIFICATE_ALERT.test(fault)) {
    return cert === undefined
      ? `${at} demands a client certificate, and none is set (${fault})`
      : `${at} refuses the client certificate ${cert} (${fault})`;
  }
  if (/key values mismatch/.test(fault)) {
    return `the key ${tls?.key?.path} does not belong to the client certificate ${cert}`;
  }
  if (/protocol|handshake failure|insufficient security|no (shared )?cipher/.test(fault)) {
    const demand = cert === undefined ? "; or it demands a client certificate, and none is set" : "";
    return `${at} offers no version or cipher of TLS that can be used here${demand} (${fault})`;
  }
  return `TLS with ${at} failed (${fault})`;
}

const CLIENT_CERTIFICATE_ALERT =
  /alert (certificate|bad certificate|no certificate|unsupported certificate|unknown ca|access denied|decrypt error)/;
