import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { probeKinds } from "../src/file-schema.ts";
import { parseTargets } from "../src/parse-file.ts";
import { schemaProblems } from "./schema-problems.ts";

const file = (heartbeat: object) => ({ heartbeat });
const components = (...all: object[]) => file({ components: all });
const db = { name: "sda-db", probe: "tcp", host: "db", port: 5432 };
const host = { host: "db", port: 5432, name: "sda-db" };

/** What the service takes, with nothing that it passes over: unknown keys are errors to the schema. */
function isTaken(file: unknown): boolean {
  const parsed = parseTargets(JSON.stringify(file));
  return parsed.ok && parsed.ignored.length === 0;
}

describe("the service and the schema both take", () => {
  test.each([
    { what: "a host without a name", file: file({ hosts: [{ host: "db", port: "5432" }] }) },
    { what: "a queue without listeners", file: file({ rmq_consumers: [{ queue: "a" }] }) },
    {
      what: "notes everywhere",
      file: {
        $schema: "x",
        _a: 1,
        heartbeat: {
          _b: [],
          components: [{ ...db, _c: {}, tls: { $schema: "y", _d: 1 }, confirm: { _e: null } }],
          defaults: { _f: "x", flapping: { _g: 1 } },
        },
      },
    },
    { what: "a queue under its own name", file: components({ probe: "queue", queue: "inbox" }) },
    { what: "one parent, not in a list", file: components(db, { ...db, name: "b", dependsOn: "sda-db" }) },
    { what: "no flapping", file: components({ ...db, flapping: false }) },
    {
      what: "each policy",
      file: components({
        ...db,
        interval: 0.5,
        timeout: 600,
        splay: 0,
        confirm: { looks: 100, pause: 0 },
        recover: { looks: 3 },
        flapping: { changes: 2, looks: 3, calm: 0 },
        severity: "warn",
      }),
    },
  ])("$what", ({ file }) => {
    expect([isTaken(file), schemaProblems(file)]).toEqual([true, []]);
  });
});

describe("neither takes", () => {
  test.each([
    { what: "a list", file: [] },
    { what: "no heartbeat", file: {} },
    { what: "an unknown key at the top", file: { ...file({ hosts: [host] }), heartbeats: {} } },
    { what: "an unknown key in the heartbeat", file: file({ hosts: [host], component: [] }) },
    { what: "an unknown key in a host", file: file({ hosts: [{ ...host, prot: 1 }] }) },
    { what: "an unknown key in a component", file: components({ ...db, prot: 1 }) },
    { what: "an unknown key in the defaults", file: file({ hosts: [host], defaults: { pause: 1 } }) },
    { what: "an unknown key in TLS", file: components({ ...db, tls: { ca: "/a" } }) },
    { what: "an option of another kind", file: components({ ...db, queue: "inbox" }) },
    { what: "hosts that are no list", file: file({ hosts: { host } }) },
    { what: "a port too large", file: components({ ...db, port: 70_000 }) },
    { what: "a port too large, as text", file: file({ hosts: [{ ...host, port: "70000" }] }) },
    { what: "port 0", file: components({ ...db, port: 0 }) },
    { what: "half a port", file: components({ ...db, port: 1.5 }) },
    { what: "a port that is no number", file: components({ ...db, port: "http" }) },
    { what: "no port", file: components({ name: "a", probe: "tcp", host: "a" }) },
    { what: "no host", file: file({ hosts: [{ port: 1 }] }) },
    { what: "no name where nothing else is one", file: components({ ...db, name: undefined }) },
    { what: "a name with a colon", file: components({ ...db, name: "a:b" }) },
    { what: "a blank name", file: components({ ...db, name: " " }) },
    { what: "a name with a line break", file: components({ ...db, name: "a\nb" }) },
    { what: "a name that is too long", file: components({ ...db, name: "a".repeat(256) }) },
    { what: "a name that is no text", file: components({ ...db, name: 1 }) },
    { what: "no kind of probe", file: components({ name: "a", host: "a", port: 1 }) },
    { what: "an unknown kind of probe", file: components({ ...db, probe: "exec", command: "id" }) },
    { what: "what every object inherits, as a kind", file: components({ ...db, probe: "constructor" }) },
    { what: "a relative path", file: components({ ...db, tls: { caFile: "ca.pem" } }) },
    { what: "an interval of 0", file: components({ ...db, interval: 0 }) },
    { what: "an interval as text", file: components({ ...db, interval: "10" }) },
    { what: "a timeout without end", file: components({ ...db, timeout: 601 }) },
    { what: "no looks", file: components({ ...db, confirm: { looks: 0 } }) },
    { what: "half a look", file: components({ ...db, recover: { looks: 1.5 } }) },
    { what: "a severity that there is not", file: components({ ...db, severity: "error" }) },
    { what: "flapping: true", file: components({ ...db, flapping: true }) },
    { what: "a parent that is no text", file: components({ ...db, dependsOn: [1] }) },
    { what: "an empty list of shovels", file: components({ name: "a", probe: "shovel", names: [] }) },
    { what: "a depth below 0", file: components({ probe: "queue", queue: "a", maxDepth: -1 }) },
    { what: "a queue that is no text", file: components({ probe: "deadLetter", queue: 5 }) },
    { what: "a method that changes things", file: components(http({ method: "POST" })) },
    {
      what: "a listener without a tag",
      file: file({ rmq_consumers: [{ queue: "a", listeners: [{ name: "a" }] }] }),
    },
    { what: "a listener with an interval", file: listener({ interval: 1 }) },
    { what: "null", file: file({ components: [null] }) },
  ])("$what", ({ file }) => {
    expect([isTaken(file), schemaProblems(file).length > 0]).toEqual([false, true]);
  });
});

function http(options: object): object {
  return { name: "a", probe: "http", url: "http://a", ...options };
}

function listener(more: object): object {
  return file({ rmq_consumers: [{ queue: "a", listeners: [{ name: "a", tag: "a", ...more }] }] });
}

test("each kind of probe needs its options", () => {
  for (const probe of probeKinds.keys()) {
    const bare = components({ probe, name: "a" });
    expect([probe, schemaProblems(bare).length === 0]).toEqual([probe, isTaken(bare)]);
  }
});

test("whatever the service takes, the schema takes, and never the other way round without a reason", () => {
  const json = fc.oneof(
    fc.jsonValue({ maxDepth: 1 }),
    fc.integer({ min: -1, max: 70_000 }),
    fc.constant("a"),
  );
  const keys = [
    ...new Set([...probeKinds.values()].flatMap(({ options }) => Object.keys(options.shape))),
    "interval",
    "timeout",
    "confirm",
    "flapping",
    "severity",
    "dependsOn",
    "name",
    "_note",
    "x",
  ];
  const component = fc
    .tuple(
      fc.constantFrom(...probeKinds.keys()),
      fc.dictionary(fc.constantFrom(...keys), json, { maxKeys: 4 }),
    )
    .map(([probe, options]) => ({ name: "a", probe, ...options }));
  fc.assert(
    fc.property(component, (component) => {
      expect(disagreement(components(component))).toEqual([]);
    }),
    { numRuns: 2_000 },
  );
});

/** What only one of the two has to say, of what a schema can tell. */
function disagreement(file: unknown): string[] {
  const parsed = parseTargets(JSON.stringify(file));
  const ours = parsed.ok ? parsed.ignored : parsed.problems;
  const theirs = schemaProblems(file);
  if (ours.length === 0) return theirs;
  return theirs.length === 0 ? ours.filter(isForSchema) : [];
}

/** Whether it is of the form of a value alone. */
function isForSchema(problem: string): boolean {
  return /unknown key|expected (a text|a list|a whole number|seconds|an object|"fail")/.test(problem);
}
