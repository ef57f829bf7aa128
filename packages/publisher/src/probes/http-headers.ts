import { validateHeaderName, validateHeaderValue } from "node:http";
import * as z from "zod";
import { filePath, FileProblem, readSecret } from "./options.ts";

const MAX_HEADERS = 50;
/** These hold secrets, which stand in no configuration. */
const SECRET: ReadonlySet<string> = new Set(["authorization", "cookie", "proxy-authorization"]);
/** These say how a request is sent, which is the probe's business: a wrong one would have a good server not answer. */
const OWN: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Headers with their values, which are no secrets. */
export function headers() {
  return z.record(z.string(), z.string("expected a text")).superRefine((given, context) => {
    checkNames(given, context);
    for (const [name, value] of Object.entries(given)) {
      if (SECRET.has(name.toLowerCase())) {
        addIssue(context, name, "is a secret: put it in a file, and name the file in headerFiles");
      }
      if (!isValue(value)) addIssue(context, name, "has a character in it that no header can have");
    }
  });
}

/** Headers with the files that hold their values. */
export function headerFiles() {
  return z.record(z.string(), filePath()).superRefine(checkNames);
}

/** Names of headers are the same in any case. */
export function isInBoth(one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>) {
  return (
    Object.keys(lowered({ ...one, ...other })).length < Object.keys(one).length + Object.keys(other).length
  );
}

/**
 * All of them, with the files' words as they are at this moment.
 * @throws {FileProblem} where a file cannot be read, or holds what no header can.
 */
export function readHeaders(
  given: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>>,
): Record<string, string> {
  const read = Object.entries(files).map(([name, path]) => {
    const value = readSecret(path);
    if (!isValue(value)) throw new FileProblem(`${path} has a character in it that no header can have`);
    return [name, value] as const;
  });
  return lowered({ ...given, ...Object.fromEntries(read) });
}

function checkNames(given: Readonly<Record<string, string>>, context: z.RefinementCtx): void {
  const names = Object.keys(given);
  if (MAX_HEADERS < names.length) context.addIssue(`has more than ${MAX_HEADERS} headers`);
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length) {
    context.addIssue("has a header twice, in different letters");
  }
  for (const name of names) {
    if (!isName(name)) addIssue(context, name, "is no name of a header");
    else if (OWN.has(name.toLowerCase())) addIssue(context, name, "is set by the probe itself");
  }
}

function addIssue(context: z.RefinementCtx, name: string, message: string): void {
  context.addIssue({ code: "custom", path: [name], message });
}

function lowered<Value>(given: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]));
}

function isName(name: string): boolean {
  return isAccepted(() => validateHeaderName(name));
}

function isValue(value: string): boolean {
  return isAccepted(() => validateHeaderValue("value", value));
}

function isAccepted(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false; // the only thing that it says
  }
}
