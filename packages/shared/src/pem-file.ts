import { createPrivateKey, X509Certificate } from "node:crypto";
import * as z from "zod";
import { type Env, readTextFile } from "./config.ts";

/** A PEM file of the configuration. */
export interface PemFile {
  readonly path: string;
  /** What the file holds now: certificates are renewed while we run. What it held last while it is unusable. */
  read(): string;
}

const CERTIFICATE = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[A-Za-z0-9+/=\s]*-----END \1-----/g;

/** The path of one or more certificates: authorities', or an own one and those between. Empty counts as none. */
export function certificateFile() {
  return pemFile(certificateProblem);
}

/** The path of a private key that is not encrypted. Empty counts as none. */
export function privateKeyFile() {
  return pemFile(keyProblem);
}

/** For a certificate and its key in two variables: both or neither, and they belong together. */
export function keyPairCheck(certVariable: string, keyVariable: string) {
  return (env: Env): string | undefined => {
    const [certPath, keyPath] = [env[certVariable], env[keyVariable]];
    if (Boolean(certPath) !== Boolean(keyPath)) {
      return `${certVariable}, ${keyVariable}: set both or neither`;
    }
    if (!certPath || !keyPath) return undefined;
    const [cert, key] = [readTextFile(certPath), readTextFile(keyPath)];
    // What is wrong with one of them alone is told under its own name.
    if (!cert.ok || !key.ok || keyProblem(key.text) !== undefined) return undefined;
    const parsed = certificates(cert.text);
    if (typeof parsed === "string" || parsed[0]?.checkPrivateKey(createPrivateKey(key.text)))
      return undefined;
    return `${keyVariable}: ${keyPath} does not belong to the certificate in ${certPath}`;
  };
}

function pemFile(problemOf: (pem: string) => string | undefined) {
  return z
    .string()
    .optional()
    .transform((path, context): PemFile | undefined => {
      if (path === undefined || path === "") return undefined;
      const file = readTextFile(path);
      const problem = file.ok ? problemOf(file.text) : undefined;
      if (file.ok && problem === undefined) return renewable(path, file.text, problemOf);
      context.addIssue(file.ok ? `${path} ${problem}` : file.problem);
      return z.NEVER;
    });
}

function renewable(path: string, pem: string, problemOf: (pem: string) => string | undefined): PemFile {
  let usable = pem;
  return {
    path,
    read() {
      const file = readTextFile(path);
      if (file.ok && problemOf(file.text) === undefined) usable = file.text;
      return usable;
    },
  };
}

/** All certificates in a PEM text, or what is the matter with it. */
function certificates(pem: string): X509Certificate[] | string {
  const blocks = pem.match(CERTIFICATE);
  if (!blocks) {
    const hint = /PRIVATE KEY/.test(pem) ? "; there is a private key in it" : "";
    return `holds no certificate in PEM form${hint}`;
  }
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return "holds a certificate that cannot be decoded"; // OpenSSL's words say no more
  }
}

/** What is the matter with a text that should hold certificates. */
export function certificateProblem(pem: string): string | undefined {
  const parsed = certificates(pem);
  return typeof parsed === "string" ? parsed : undefined;
}

/** What is the matter with a text that should hold a private key. */
export function keyProblem(pem: string): string | undefined {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
    return "holds an encrypted key; expected one without a passphrase";
  }
  if (!/-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/.test(pem)) {
    const hint = /CERTIFICATE/.test(pem) ? "; there is a certificate in it" : "";
    return `holds no private key in PEM form${hint}`;
  }
  try {
    createPrivateKey(pem);
    return undefined;
  } catch {
    return "holds a private key that cannot be decoded"; // OpenSSL's words say no more
  }
}
