import { SITE_PATTERN } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { ANY_SITE, KEY_ID_PATTERN, type VerifyKey } from "@pipeline-heartbeat/shared/signature.ts";
import * as z from "zod";

/** All keys of one id are tried on a message of that id, so a forged one costs that many verifications, of 0.1 ms. */
const MAX_KEYS_OF_ONE_ID = 32;
/** The 16 characters that openssl puts before the key itself. */
const DER_HEADER = "MCowBQYDK2VwAyEA";

/**
 * `id@site=key,…` with any white space around the commas, or in place of them: it may come from a file with a line for
 * each key.
 */
export function verifyKeys() {
  return z
    .string()
    .optional()
    .transform((text, context): readonly VerifyKey[] => {
      if (text === undefined) return [];
      const entries = text.split(/[\s,]+/).filter((entry) => entry !== "");
      if (entries.length === 0) context.addIssue("holds no key; expected id@site=key,…");
      const keys = entries.map(parseEntry);
      keys.forEach((key, index) => {
        if (typeof key === "string") context.addIssue(`entry ${index + 1} of ${keys.length} ${key}`);
      });
      const good = keys.filter((key) => typeof key !== "string");
      if (hasCrowdedId(good)) {
        context.addIssue(`more than ${MAX_KEYS_OF_ONE_ID} keys share an id; give each site's key its own`);
      }
      return context.issues.length > 0 ? z.NEVER : good;
    });
}

/** The key, or what is the matter; never a part of the text. */
function parseEntry(entry: string): VerifyKey | string {
  const parts = /^([^@=]*)@([^@=]*)=(.*)$/.exec(entry);
  const [id = "", site = "", publicKey = ""] = parts?.slice(1) ?? [];
  if (!parts) return "is not of the form id@site=key";
  if (!KEY_ID_PATTERN.test(id)) return "has a wrong key id; expected 1 to 64 of A-Z a-z 0-9 _ . -";
  if (site !== ANY_SITE && !SITE_PATTERN.test(site)) {
    return "has a wrong site; expected 1 to 64 of A-Z a-z 0-9 _ . - or * for any";
  }
  const problem = keyProblem(publicKey);
  return problem ?? { id, site, publicKey };
}

function keyProblem(publicKey: string): string | undefined {
  if (publicKey.length === 60 && publicKey.startsWith(DER_HEADER)) {
    return `has its key with a header; leave out ${DER_HEADER} at its front`;
  }
  const raw = Buffer.from(publicKey, "base64");
  if (raw.length !== 32 || raw.toString("base64") !== publicKey) {
    return "has a wrong key; expected the 32 bytes of an Ed25519 public key in base64: 44 characters, the last one =";
  }
  return hasSmallOrder(raw) ? "has a key for which everybody could sign" : undefined;
}

/**
 * The points of small order, in all their encodings less the sign (the list is libsodium's). With some versions of
 * OpenSSL a signature that needs no private key passes with them. The first is what a placeholder of zeros decodes to.
 */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
]);

function hasSmallOrder(raw: Buffer): boolean {
  const point = Buffer.from(raw);
  point.writeUInt8(point.readUInt8(31) & 0x7f, 31);
  return SMALL_ORDER.has(point.toString("hex"));
}

function hasCrowdedId(keys: readonly VerifyKey[]): boolean {
  return [...Map.groupBy(keys, ({ id }) => id).values()].some(
    (ofId) => new Set(ofId.map(({ publicKey }) => publicKey)).size > MAX_KEYS_OF_ONE_ID,
  );
}
