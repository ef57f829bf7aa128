import { isNote } from "../json-text.ts";

export const MASK = "(set)";
const HIDDEN = "***";

/** Options with such a name hold the path of a file, or of several: that is no secret, what is in it is not shown. */
const NAMES_FILE = /files?$|path$/i;
const NAMES_SECRET = /pass|secret|token|credential|auth|cookie|headers?$|key$/i;
const URL_OR_PATH = /^(?:[a-z][a-z\d+.-]*:)?\//i;

/**
 * A value of publisher_config.json without what may be secret in it: what stands under a name that suggests one, in whatever
 * depth, and of URLs the user, the password and the values of the query. No file should have such in it; this one may.
 */
export function masked(value: unknown, name = ""): unknown {
  if (NAMES_FILE.test(name)) return eachIn(value, maskedUrl);
  if (NAMES_SECRET.test(name)) return eachIn(value, () => MASK);
  if (typeof value !== "object" || value === null) return maskedUrl(value);
  if (Array.isArray(value)) return value.map((item) => masked(item));
  const entries = Object.entries(value).filter(([key]) => !isNote(key));
  return Object.fromEntries(entries.map(([key, item]) => [key, masked(item, key)]));
}

/** The same with each leaf changed. */
function eachIn(value: unknown, change: (leaf: unknown) => unknown): unknown {
  if (typeof value !== "object" || value === null) return change(value);
  if (Array.isArray(value)) return value.map((item) => eachIn(item, change));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, eachIn(item, change)]));
}

function maskedUrl(value: unknown): unknown {
  if (typeof value !== "string" || !URL_OR_PATH.test(value)) return value;
  const [, address = "", query, fragment] = /^([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(value) ?? [];
  const parts = query?.split("&").map((part) => {
    const [key, ...rest] = part.split("=");
    return rest.length > 0 ? `${key}=${HIDDEN}` : HIDDEN;
  });
  return [
    // Up to the last @: a password that is not encoded may have more of them.
    address.replace(/:\/\/.*@/s, `://${HIDDEN}@`),
    parts ? `?${parts.join("&")}` : "",
    fragment === undefined ? "" : `#${HIDDEN}`,
  ].join("");
}
