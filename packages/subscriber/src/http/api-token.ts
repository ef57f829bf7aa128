import { createHash, timingSafeEqual } from "node:crypto";
import { variable } from "@pipeline-heartbeat/shared/config.ts";

/** In base64 with a user beside it, this still fits into a request's headers. */
const MAX_BYTES = 4_000;
/** Easily guessed, or read over somebody's shoulder. */
const SHORT_BYTES = 16;

/** Control characters cannot be sent, a header's blanks at the ends are no part of it, U+FFFD stands for what is no UTF-8. */
const NEVER_SENT = /[\p{Cc}\uFFFD]|^ | $/u;

/** API_TOKEN: a text that a request can carry. */
export function apiTokenVariable() {
  return variable(
    `at most ${MAX_BYTES} bytes of text without control characters, and without blanks at its ends`,
    (text) => (isSendable(text) ? text : undefined),
    undefined,
  );
}

function isSendable(text: string): boolean {
  return text !== "" && Buffer.byteLength(text) <= MAX_BYTES && !NEVER_SENT.test(text);
}

export function apiTokenWarnings(token: string | undefined): string[] {
  if (token === undefined || Buffer.byteLength(token) >= SHORT_BYTES) return [];
  return [`API_TOKEN: shorter than ${SHORT_BYTES} bytes, which may be guessed`];
}

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
