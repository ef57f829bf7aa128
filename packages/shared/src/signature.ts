import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";

/** Key ids, as in the header and in the configuration; without the characters that set `id@site=key,…` apart. */
export const KEY_ID_PATTERN = /^[A-Za-z0-9_.-]{1,64}$/;
export const DEFAULT_KEY_ID = "default";
/** In place of a site's name: any site. */
export const ANY_SITE = "*";

const KEY_ID_HEADER = "x-heartbeat-key-id";
const SIGNATURE_HEADER = "x-heartbeat-signature";
const VERSION = "v1=";
/** Ed25519's 64 bytes in base64. */
const SIGNATURE_PATTERN = /^[A-Za-z0-9+/]{86}==$/;

/** The AMQP headers that go with a body which has exactly these bytes. */
export type Sign = (body: Uint8Array) => Readonly<Record<string, string>>;

export function signer(privateKey: KeyObject, keyId: string): Sign {
  return (body) => ({
    [KEY_ID_HEADER]: keyId,
    [SIGNATURE_HEADER]: VERSION + sign(null, body, privateKey).toString("base64"),
  });
}

/** A public key and a site for which it may speak. */
export interface VerifyKey {
  readonly id: string;
  /** A name, or `*`. */
  readonly site: string;
  /** The raw 32 bytes in base64. */
  readonly publicKey: string;
}

export type Verified =
  | {
      readonly ok: true;
      /** Undefined when the message is not signed, and need not be. */
      readonly keyId: string | undefined;
      readonly speaksFor: (site: string) => boolean;
    }
  | {
      readonly ok: false;
      readonly code: "unsigned" | "unknown_key" | "bad_signature";
      readonly problem: string;
    };

/** Judges a body by its message's headers, whatever these hold. Never throws. The site is for the caller to compare. */
export type Verify = (body: Uint8Array, headers: Readonly<Record<string, unknown>> | undefined) => Verified;

/**
 * Several keys may share an id, as when each site has its own `default`: all of them are tried. That a signature can be
 * rewritten into another valid one of the same body does no harm: nothing is told apart by its signature.
 */
export function verifier(keys: readonly VerifyKey[], { isRequired }: { isRequired: boolean }): Verify {
  const byId = new Map([...Map.groupBy(keys, ({ id }) => id)].map(([id, ofId]) => [id, candidates(ofId)]));
  return (body, headers) => {
    const keyId = headers?.[KEY_ID_HEADER];
    const signature = headers?.[SIGNATURE_HEADER];
    if (keyId === undefined && signature === undefined) {
      if (isRequired) return refused("unsigned", "not signed, and REQUIRE_SIGNATURE is true");
      return { ok: true, keyId: undefined, speaksFor: () => true };
    }
    if (typeof keyId !== "string" || !KEY_ID_PATTERN.test(keyId)) {
      return refused("bad_signature", `no key id in the header ${KEY_ID_HEADER}`);
    }
    const bytes = signatureBytes(signature);
    if (!bytes) return refused("bad_signature", `no signature that begins with ${VERSION} in its header`);
    const known = byId.get(keyId);
    if (!known) return refused("unknown_key", `signed by key '${keyId}', not one of HEARTBEAT_VERIFY_KEYS`);
    const match = known.find(({ publicKey }) => verify(null, body, publicKey, bytes));
    if (!match) return refused("bad_signature", `forged or altered: not what key '${keyId}' signed`);
    return { ok: true, keyId, speaksFor: (site) => match.sites.has(site) || match.sites.has(ANY_SITE) };
  };
}

/** The raw 32 bytes of an Ed25519 public key in base64, the form in which it is configured. */
export function rawPublicKey(key: KeyObject): string {
  const { x = "" } = key.export({ format: "jwk" });
  return Buffer.from(x, "base64url").toString("base64");
}

/** The reverse of rawPublicKey. */
export function publicKeyFrom(raw: string): KeyObject {
  const x = Buffer.from(raw, "base64").toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

/** Each key of one id once, with all its sites. */
function candidates(keys: readonly VerifyKey[]) {
  return [...Map.groupBy(keys, ({ publicKey }) => publicKey)].map(([raw, ofKey]) => ({
    publicKey: publicKeyFrom(raw),
    sites: new Set(ofKey.map(({ site }) => site)),
  }));
}

function signatureBytes(header: unknown): Buffer | undefined {
  if (typeof header !== "string" || !header.startsWith(VERSION)) return undefined;
  const base64 = header.slice(VERSION.length);
  return SIGNATURE_PATTERN.test(base64) ? Buffer.from(base64, "base64") : undefined;
}

function refused(code: "unsigned" | "unknown_key" | "bad_signature", problem: string): Verified {
  return { ok: false, code, problem };
}
