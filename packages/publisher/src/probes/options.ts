import { type Stats, statSync } from "node:fs";
import { readTextFile } from "@pipeline-heartbeat/shared/config.ts";
import { certificateProblem, keyProblem, type PemFile } from "@pipeline-heartbeat/shared/pem-file.ts";
import type { TlsSettings } from "@pipeline-heartbeat/shared/tls.ts";
import * as z from "zod";

/** A file that an option names cannot be used; the message names it, and tells nothing of what it holds. */
export class FileProblem extends Error {
  override readonly name = "FileProblem";
}

const MAX_FILE_BYTES = 1024 * 1024;

/** The words of a file as they are at this moment, without white space around them: secrets are renewed while we run. */
export function readSecret(path: string): string {
  const found = statOf(path);
  // To read a pipe could take for ever, and with it the whole process.
  if (found && !found.isFile()) throw new FileProblem(`${path} is no regular file`);
  if (found && found.size > MAX_FILE_BYTES)
    throw new FileProblem(`${path} is larger than ${MAX_FILE_BYTES} bytes`);
  const file = readTextFile(path);
  if (!file.ok) throw new FileProblem(file.problem);
  const secret = file.text.trim();
  if (secret === "") throw new FileProblem(`${path} is empty`);
  return secret;
}

/** Undefined where reading it tells why. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined; // missing, or not permitted
  }
}

export function text() {
  return z.string("expected a text").min(1, "is empty").max(4096, "is longer than 4096 characters");
}

/** A name or an address; an IPv6 address with or without brackets, a name with or without a dot at its end. */
export function host() {
  return text()
    .regex(/^[^\s\p{Cc}]+$/u, "has a space or a control character in it")
    .regex(/^[^/@]+$/, "is no host name or address")
    .transform((given) => given.replace(/^\[(.*)\]$/, "$1"));
}

export function port() {
  const expected = "expected a port, 1 to 65535";
  return z.union([z.string().regex(PORT, expected), whole(1, 65_535, expected)], expected).transform(Number);
}

const PORT = /^0*([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$/;

export function filePath() {
  return text().regex(/^\//, "expected an absolute path");
}

export function whole(
  least: number,
  most: number,
  expected = `expected a whole number, ${least} to ${most}`,
) {
  return z.int(expected).min(least, expected).max(most, expected);
}

/** In the file in seconds; parsed to milliseconds. */
export function seconds(leastS: number, mostS: number) {
  const expected = `expected seconds, ${leastS} to ${mostS}`;
  return z
    .number(expected)
    .min(leastS, expected)
    .max(mostS, expected)
    .transform((s) => Math.round(s * 1000));
}

/** A private authority, a client's certificate, another name than the host's. */
export function tlsDetails() {
  return z
    .strictObject({
      caFile: filePath().optional().describe("PEM: the authorities to trust in place of the system's"),
      certFile: filePath().optional().describe("PEM: a client certificate, with keyFile"),
      keyFile: filePath().optional().describe("PEM: its private key, without a passphrase"),
      serverName: text()
        .optional()
        .describe("the name in the server's certificate, where it is not the host"),
    })
    .refine(
      ({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined),
      "needs both of certFile and keyFile, or neither",
    );
}

/** `true`, or the details. */
export function tls() {
  const expected = "expected true, false, or an object with caFile, certFile, keyFile, serverName";
  return z.union([z.boolean(), tlsDetails()], expected);
}

export type TlsOption = z.output<ReturnType<typeof tls>>;

/** The files are read whenever a connection is made; then a FileProblem is thrown. Undefined: without TLS. */
export function tlsSettings(option: Exclude<TlsOption, boolean> | true, host: string): TlsSettings;
export function tlsSettings(option: TlsOption | undefined, host: string): TlsSettings | undefined;
export function tlsSettings(option: TlsOption | undefined, host: string): TlsSettings | undefined {
  if (!option) return undefined;
  const { caFile, certFile, keyFile, serverName } = option === true ? {} : option;
  return {
    ca: pemFile(caFile, certificateProblem),
    cert: pemFile(certFile, certificateProblem),
    key: pemFile(keyFile, keyProblem),
    serverName: (serverName ?? host).replace(/\.$/, ""),
  };
}

/** Node would ignore an authority that it cannot read, and then blame the server for what we do not trust. */
function pemFile(
  path: string | undefined,
  problemOf: (pem: string) => string | undefined,
): PemFile | undefined {
  if (path === undefined) return undefined;
  return {
    path,
    read() {
      const pem = readSecret(path);
      const problem = problemOf(pem);
      if (problem !== undefined) throw new FileProblem(`${path} ${problem}`);
      return pem;
    },
  };
}
