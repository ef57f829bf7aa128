import { MAX_NAME_LENGTH } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { closest } from "fastest-levenshtein";
import * as z from "zod";
import type { QueueTarget } from "./probes/consumers.ts";
import type { TcpTarget } from "./probes/tcp.ts";
import { parseTagPattern } from "./tag-pattern.ts";

/** What publisher_config.json asks to be watched. */
interface Targets {
  readonly hosts: readonly TcpTarget[];
  readonly queues: readonly QueueTarget[];
}

/** Problems and warnings name the place in the file (`heartbeat.hosts[0].port`), never the value that stands there. */
export type ParsedTargets =
  | { readonly ok: true; readonly targets: Targets; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads the text of publisher_config.json. What upstream would ignore is a warning here, too. */
export function parseTargets(text: string): ParsedTargets {
  let json: unknown;
  try {
    json = withoutNotes(JSON.parse(text.replace(/^\uFEFF/, "")));
  } catch (error) {
    return { ok: false, problems: [`is not JSON${positionIn(error)}`] };
  }
  const strict = strictFile.safeParse(json);
  const issues = strict.success ? [] : strict.error.issues;
  const problems = issues.filter((issue) => issue.code !== "unrecognized_keys").map(describe);
  if (problems.length > 0) return { ok: false, problems };
  const targets = looseFile.parse(json);
  if (targets.hosts.length + targets.queues.length === 0) {
    return { ok: false, problems: ["heartbeat: has nothing to watch, neither hosts nor rmq_consumers"] };
  }
  return { ok: true, targets, warnings: [...issues.flatMap(describeUnknown), ...namelessHosts(targets)] };
}

const KNOWN_KEYS = [
  "heartbeat",
  "hosts",
  "rmq_consumers",
  "host",
  "port",
  "name",
  "queue",
  "listeners",
  "tag",
];

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

/** Their address stands in the heartbeats in place of a name. */
function namelessHosts({ hosts }: Targets): string[] {
  return hosts.flatMap(({ name, host }, index) => {
    return name === host
      ? [`heartbeat.hosts[${index}]: has no name, so its address leaves the site in its place`]
      : [];
  });
}

/** Keys that begin with `_` are for people, `$schema` is for editors. */
function withoutNotes(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(withoutNotes);
  if (typeof json !== "object" || json === null) return json;
  const entries = Object.entries(json).filter(([key]) => !key.startsWith("_") && key !== "$schema");
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutNotes(value)]));
}

function describe(issue: z.core.$ZodIssue): string {
  return `${pathOf(issue.path)}: ${issue.message}`;
}

function describeUnknown(issue: z.core.$ZodIssue): string[] {
  if (issue.code !== "unrecognized_keys") return [];
  return issue.keys.map((key) => {
    const place = pathOf([...issue.path, key]);
    return `${place}: unknown key, ignored; did you mean '${closest(key, KNOWN_KEYS)}'?`;
  });
}

function pathOf(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "the file";
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : `${index > 0 ? "." : ""}${String(part)}`))
    .join("");
}

/** V8's message quotes the file, which may hold a secret by mistake: only the place is taken over. */
function positionIn(error: unknown): string {
  const place = error instanceof Error ? /line \d+ column \d+/.exec(error.message) : null;
  return place ? ` (${place[0]})` : "";
}
