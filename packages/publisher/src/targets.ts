import { MAX_NAME_LENGTH } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { closest } from "fastest-levenshtein";
import * as z from "zod";
import { type Finding, finding, pathText, told } from "./finding.ts";
import { isNote, type Json, parseJsonText, type Repeated } from "./json-text.ts";
import type { QueueTarget } from "./probes/queue-target.ts";
import type { TcpTarget } from "./probes/tcp.ts";
import { parseTagPattern } from "./tag-pattern.ts";

/** What publisher_config.json asks to be watched. */
export interface Targets {
  readonly hosts: readonly TcpTarget[];
  readonly queues: readonly QueueTarget[];
}

/**
 * Problems and warnings name the place in the file (`line 3, column 5: heartbeat.hosts[0].port`), never the value that
 * stands there, and come in the order of the places.
 */
export type ParsedTargets =
  | {
      readonly ok: true;
      readonly targets: Targets;
      /** What has no effect, such as a misspelt key: the service passes it over, as upstream does. */
      readonly ignored: readonly string[];
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads the text of publisher_config.json. */
export function parseTargets(text: string): ParsedTargets {
  // What is read as UTF-8 and is not has this in place of the letters: a queue of such a name can never be there.
  if (text.includes("\uFFFD")) return { ok: false, problems: ["the file is not UTF-8"] };
  try {
    return parsedTargets(text);
  } catch (error) {
    if (error instanceof RangeError) return { ok: false, problems: ["the file is nested too deep"] };
    throw error;
  }
}

function parsedTargets(text: string): ParsedTargets {
  const json = parseJsonText(text);
  if (!json.ok)
    return {
      ok: false,
      problems: told([{ place: json.place, text: `is not JSON: unexpected ${json.unexpected}` }]),
    };
  const value = withoutNotes(json.value);
  const strict = strictFile.safeParse(value);
  const issues = strict.success ? [] : strict.error.issues;
  const ignored = [...issues.flatMap((issue) => unknownKeys(json, issue)), ...json.repeated.map(repeatedKey)];
  const problems = issues
    .filter((issue) => issue.code !== "unrecognized_keys")
    .map((issue) => finding(json, issue.path, issue.message));
  if (problems.length > 0) return { ok: false, problems: told([...problems, ...ignored]) };
  const targets = looseFile.parse(value);
  if (targets.hosts.length + targets.queues.length === 0) {
    const nothing = finding(json, ["heartbeat"], "has nothing to watch, neither hosts nor rmq_consumers");
    return { ok: false, problems: told([nothing, ...ignored]) };
  }
  return { ok: true, targets, ignored: told(ignored), warnings: told(namelessHosts(json, targets)) };
}

/** By the key of the object or list around them. */
const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  "": ["heartbeat"],
  heartbeat: ["hosts", "rmq_consumers"],
  hosts: ["host", "port", "name"],
  rmq_consumers: ["queue", "listeners"],
  listeners: ["tag", "name"],
};

// Every object of the file is of one of the two: the strict one finds unknown keys, the loose one passes them over.
const strictFile = fileSchema(z.strictObject);
const looseFile = fileSchema(z.object);

function fileSchema(object: typeof z.object | typeof z.strictObject) {
  const host = object({ host: text(), port: portNumber(), name: componentName().optional() }).transform(
    ({ host, port, name }, context): TcpTarget => {
      if (name === undefined && host.includes(":")) {
        context.addIssue({
          code: "custom",
          path: ["name"],
          message: "is missing: the address has a ':', which no name may have",
        });
      }
      return { host, port, name: name ?? host };
    },
  );
  const listener = object({ tag: tagPattern(), name: componentName() }).transform(({ tag, name }) => {
    return { name, matches: tag };
  });
  const queue = object({
    queue: componentName(),
    listeners: z.array(listener, "expected a list").default([]),
  });
  const heartbeat = object(
    {
      hosts: z.array(host, "expected a list").default([]),
      rmq_consumers: z.array(queue, "expected a list").default([]),
    },
    {
      error: (issue) =>
        issue.code === "invalid_type" ? "expected an object with hosts and rmq_consumers" : undefined,
    },
  );
  return object({ heartbeat }).transform(({ heartbeat }): Targets => {
    return { hosts: heartbeat.hosts, queues: heartbeat.rmq_consumers };
  });
}

function text() {
  return z.string("expected a text").min(1, "is empty");
}

/** Every component's name; it becomes a part of a Redis key in which `:` separates. */
function componentName() {
  return text()
    .max(MAX_NAME_LENGTH, `is longer than ${MAX_NAME_LENGTH} characters`)
    .regex(/^[^:]*$/, "must not have a ':'")
    .regex(/^\P{Cc}*$/u, "must not have control characters")
    .regex(/^$|\S/, "is blank")
    .refine((name) => name.isWellFormed(), "is not well-formed text");
}

function portNumber() {
  const expected = "expected a port, 1 to 65535";
  return z
    .union([z.string().regex(/^\d+$/, expected), z.number()], expected)
    .transform(Number)
    .pipe(z.int(expected).min(1, expected).max(65_535, expected));
}

function tagPattern() {
  return z.string("expected a Python regular expression").transform((pattern, context) => {
    const parsed = parseTagPattern(pattern);
    if (parsed.ok) return parsed.matches;
    context.addIssue(`cannot be used as a tag pattern: ${parsed.reason}`);
    return z.NEVER;
  });
}

/** Keys that are not for the publisher are taken out. */
function withoutNotes(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(withoutNotes);
  if (typeof json !== "object" || json === null) return json;
  const entries = Object.entries(json).filter(([key]) => !isNote(key));
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutNotes(value)]));
}

function unknownKeys(json: Json, issue: z.core.$ZodIssue): Finding[] {
  if (issue.code !== "unrecognized_keys") return [];
  const around = issue.path.findLast((part) => typeof part === "string") ?? "";
  return issue.keys.map((key) => {
    const path = [...issue.path, key];
    const suggestion = closest(key, KNOWN_KEYS[around] ?? []);
    return {
      place: json.placeOfKey(path),
      text: `${pathText(path)}: unknown key, ignored; did you mean '${suggestion}'?`,
    };
  });
}

function repeatedKey({ path, place, first }: Repeated): Finding {
  return {
    place,
    text: `${pathText(path)}: repeats the key of line ${first.line}; only the last of them counts`,
  };
}

/** So many of the hosts without a name are told one by one. */
const MAX_NAMELESS_TOLD = 10;

/** Their address stands in the heartbeats in place of a name. */
function namelessHosts(json: Json, { hosts }: Targets): Finding[] {
  const paths = hosts.flatMap(({ name, host }, index) =>
    name === host ? [["heartbeat", "hosts", index]] : [],
  );
  const findings = paths
    .slice(0, MAX_NAMELESS_TOLD)
    .map((path) =>
      finding(json, path, "has no name of its own, so its address leaves the site in its place"),
    );
  const [last, more] = [paths.at(-1), paths.length - findings.length];
  if (last && more > 0)
    findings.push(finding(json, last, `is the last of ${more} more without a name of their own`));
  return findings;
}
