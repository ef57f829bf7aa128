import { createHash, timingSafeEqual } from "node:crypto";

/**
 * Judges the Authorization header of a request: Bearer with the token, or Basic with any user and the token as its
 * password. How long that takes tells nothing of the token.
 */
export function tokenCheck(token: string): (authorization: string) => boolean {
  const expected = digest(Buffer.from(token));
  return (authorization) => {
    const presented = presentedToken(authorization);
    return presented !== undefined && timingSafeEqual(digest(presented), expected);
  };
}

/** Of any length, and so compared as digests. */
function digest(token: Buffer): Buffer {
  return createHash("sha256").update(token).digest();
}

function presentedToken(authorization: string): Buffer | undefined {
  const [, scheme, credentials] = /^(bearer|basic) +([^]+)$/i.exec(authorization) ?? [];
  if (scheme === undefined || credentials === undefined) return undefined;
  // Node makes one character of each byte of a header, whatever the sender meant by it.
  if (scheme.toLowerCase() === "bearer") return Buffer.from(credentials, "latin1");
  const pair = Buffer.from(credentials, "base64");
  const colon = pair.indexOf(":");
  return colon === -1 ? undefined : pair.subarray(colon + 1);
}
