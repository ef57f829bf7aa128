import { variable } from "@pipeline-heartbeat/shared/config.ts";
import {
  certificateFile,
  keyPairCheck,
  type PemFile,
  privateKeyFile,
} from "@pipeline-heartbeat/shared/pem-file.ts";

/** The files of HTTPS. */
export interface HttpTls {
  readonly cert: PemFile;
  readonly key: PemFile;
}

/** In base64 with a user beside it, this still fits into a request's headers. */
const MAX_TOKEN_BYTES = 4_000;
const SHORT_TOKEN_BYTES = 16;

/** Control characters cannot be sent; blanks at the ends are no part of a header; U+FFFD stands for what is no UTF-8. */
const NEVER_SENT = /[\p{Cc}\uFFFD]|^ | $/u;

export const accessSecrets = ["API_TOKEN"];

export const accessChecks = [keyPairCheck("HTTP_TLS_CERT_PATH", "HTTP_TLS_KEY_PATH")];

export const accessVariables = {
  API_TOKEN: variable(
    `at most ${MAX_TOKEN_BYTES} bytes of text without control characters, and without blanks at its ends`,
    (text) => (isSendable(text) ? text : undefined),
    undefined,
  ),
  HTTP_TLS_CERT_PATH: certificateFile(),
  HTTP_TLS_KEY_PATH: privateKeyFile(),
};

interface AccessEnv {
  readonly API_TOKEN: string | undefined;
  readonly HTTP_TLS_CERT_PATH: PemFile | undefined;
  readonly HTTP_TLS_KEY_PATH: PemFile | undefined;
}

/** Who may read what, and by which protocol. */
export function accessSettings({ API_TOKEN, HTTP_TLS_CERT_PATH: cert, HTTP_TLS_KEY_PATH: key }: AccessEnv) {
  const tls: HttpTls | undefined = cert && key ? { cert, key } : undefined;
  return { apiToken: API_TOKEN, tls };
}

export function accessWarnings({ API_TOKEN: token }: AccessEnv): string[] {
  if (token === undefined || Buffer.byteLength(token) >= SHORT_TOKEN_BYTES) return [];
  return [`API_TOKEN: shorter than ${SHORT_TOKEN_BYTES} bytes, which may be guessed`];
}

function isSendable(text: string): boolean {
  return text !== "" && Buffer.byteLength(text) <= MAX_TOKEN_BYTES && !NEVER_SENT.test(text);
}
