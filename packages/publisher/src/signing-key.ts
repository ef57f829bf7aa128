import { createPrivateKey, type KeyObject } from "node:crypto";
import * as z from "zod";

const EXPECTED = "expected an Ed25519 private key in PEM form (PKCS#8), as main.js make-key prints it";
const PRIVATE_KEY = /-----BEGIN PRIVATE KEY-----([^-]*)-----END PRIVATE KEY-----/g;

/**
 * A private key in PEM form. What is around it is passed over, and its lines may be parted by anything that stands for a
 * line's end: spaces or the two characters `\n`, too, which is what is left of them in many an environment variable.
 */
export function signingKey() {
  return z
    .string()
    .optional()
    .transform((text, context): KeyObject | undefined => {
      if (text === undefined) return undefined;
      const parsed = parseKey(text);
      if (typeof parsed !== "string") return parsed;
      context.addIssue(parsed);
      return z.NEVER;
    });
}

/** The key, or what is the matter; never a part of the text. */
function parseKey(text: string): KeyObject | string {
  const [found, ...more] = text.matchAll(PRIVATE_KEY);
  if (!found?.[1]) return `${misfit(text)}${EXPECTED}`;
  if (more.length > 0) return "holds more than one private key; keep one";
  const base64 = found[1].replaceAll(/\\r|\\n|\s/g, "");
  try {
    const key = createPrivateKey({ key: Buffer.from(base64, "base64"), format: "der", type: "pkcs8" });
    const type = key.asymmetricKeyType;
    return type === "ed25519" ? key : `holds a key of the type ${type}; ${EXPECTED}`;
  } catch {
    return `holds a private key that cannot be decoded; ${EXPECTED}`; // OpenSSL's words say no more
  }
}

function misfit(text: string): string {
  if (/BEGIN ENCRYPTED PRIVATE KEY/.test(text)) return "holds an encrypted key, and there is no passphrase; ";
  if (/BEGIN ([A-Z]+ )?PUBLIC KEY/.test(text)) return "holds a public key; ";
  if (/BEGIN [A-Z]+ PRIVATE KEY/.test(text)) return "holds a private key of another form; ";
  if (/^[./]/.test(text)) return "looks like a path, which belongs in HEARTBEAT_SIGNING_KEY_FILE; ";
  return "";
}
