import * as z from "zod";
import { componentKey, referred } from "./dependencies.ts";
import { dependencyProblems, knownNames, type Named, type Problem } from "./file-dependencies.ts";
import { componentName, type File, fileSchema, probeKinds } from "./file-schema.ts";
import { type Finding, finding, pathText, told } from "./finding.ts";
import { isNote, type Json, type Path, parseJsonText, type Repeated } from "./json-text.ts";
import type { ComponentName } from "./policy.ts";
import type { PolicyOptions } from "./policy-options.ts";
import type { ProbeKind } from "./probe-kind.ts";
import type { ComponentEntry, QueueEntry, Targets } from "./targets.ts";
import { unknownKeys } from "./unknown-keys.ts";

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

// Every object of the file that upstream knows is of one of the two: the strict one finds unknown keys, the loose one
// passes them over.
const strictFile = fileSchema(z.strictObject);
const looseFile = fileSchema(z.object);

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
  const unknown = issues.flatMap((issue) => unknownKeys(json, issue));
  const ignored = [...unknown.filter(({ isPassedOver }) => isPassedOver), ...json.repeated.map(repeatedKey)];
  const problems = [
    ...unknown.filter(({ isPassedOver }) => !isPassedOver),
    ...issues
      .filter((issue) => issue.code !== "unrecognized_keys")
      .map((issue) => finding(json, issue.path, issue.message)),
  ];
  if (problems.length > 0) return { ok: false, problems: told([...problems, ...ignored]) };
  const { heartbeat } = looseFile.parse(value);
  const entries = [...hostEntries(heartbeat), ...componentEntries(heartbeat)];
  const named = places(heartbeat, entries);
  const found = [
    ...nothingToWatch(heartbeat),
    ...entries.flatMap(({ problem }) => problem ?? []),
    ...doubled(entries),
    ...dependencyProblems(named),
  ].map(({ path, message }) => finding(json, path, message));
  if (found.length > 0) return { ok: false, problems: told([...found, ...ignored]) };
  const targets = targetsIn(heartbeat, entries, knownNames(named));
  return { ok: true, targets, ignored: told(ignored), warnings: told(namelessHosts(json, heartbeat)) };
}

type Heartbeat = File["heartbeat"];

/** A component as it stands in the file, its parents still as references. */
interface Entry {
  readonly path: Path;
  readonly component: Omit<ComponentEntry, "dependsOn">;
  readonly dependsOn: readonly string[];
  readonly problem?: Problem | undefined;
}

function hostEntries({ hosts }: Heartbeat): Entry[] {
  return hosts.map(({ host, port, name, dependsOn = [], ...policy }, index) => ({
    path: ["heartbeat", "hosts", index],
    component: {
      section: "hosts",
      kind: "service",
      name: name ?? host,
      probe: "tcp",
      options: { host, port },
      policy,
    },
    dependsOn,
  }));
}

function componentEntries({ components }: Heartbeat): Entry[] {
  return components.map((given, index) => {
    const { name, probe, dependsOn = [], ...rest } = commonSchema.parse(given);
    const kind = kindOf(probe);
    const options = picked(rest, (key) => key in kind.options.shape);
    const policy: PolicyOptions = picked(rest, (key) => !(key in kind.options.shape));
    const path = ["heartbeat", "components", index];
    const defaulted = name ?? kind.defaultName?.(options);
    const problem = defaulted === undefined ? "is missing" : nameProblem(name, defaulted);
    return {
      path,
      component: {
        section: kind.kind === "queue" ? "queues" : "services",
        kind: kind.kind,
        name: defaulted ?? "",
        probe,
        options,
        policy,
      },
      dependsOn,
      problem: problem === undefined ? undefined : { path: [...path, "name"], message: problem },
    };
  });
}

/** What components of all kinds have in common. */
const commonSchema = z.looseObject({
  name: z.string().optional(),
  probe: z.string(),
  dependsOn: z.array(z.string()).optional(),
});

function nameProblem(given: string | undefined, defaulted: string): string | undefined {
  if (given !== undefined) return undefined; // the schema has judged it
  const parsed = componentName().safeParse(defaulted);
  return parsed.success
    ? undefined
    : `is missing: the queue's own cannot be used, because it ${parsed.error.issues[0]?.message}`;
}

export function kindOf(probe: string): ProbeKind {
  const kind = probeKinds.get(probe);
  if (!kind) throw new Error(`there is no kind of probe '${probe}'`);
  return kind;
}

function picked(from: object, isWanted: (key: string) => boolean): Record<string, unknown> {
  return Object.fromEntries(Object.entries(from).filter(([key]) => isWanted(key)));
}

function nothingToWatch({ hosts, rmq_consumers, components }: Heartbeat): Problem[] {
  if (hosts.length + rmq_consumers.length + components.length > 0) return [];
  return [
    { path: ["heartbeat"], message: "has nothing to watch, neither hosts nor rmq_consumers nor components" },
  ];
}

/** The same name twice with the same kind of probe is a copy that was not changed. Upstream's lists may have them. */
function doubled(entries: readonly Entry[]): Problem[] {
  const components = entries.filter(({ component, problem }) => component.section !== "hosts" && !problem);
  const groups = Map.groupBy(components, ({ component }) => `${component.probe} ${componentKey(component)}`);
  return [...groups.values()].flatMap(([first, ...again]) =>
    again.map(({ path }) => ({
      path: [...path, "name"],
      message: `is the name of ${pathText(first?.path ?? [])}, too; give each one of its own`,
    })),
  );
}

function places({ rmq_consumers }: Heartbeat, entries: readonly Entry[]): Named[] {
  const queues = rmq_consumers.flatMap(({ queue, dependsOn = [], listeners }, index): Named[] => {
    const path = ["heartbeat", "rmq_consumers", index];
    return [
      { kind: "queue", name: queue, path, dependsOn },
      ...listeners.map(({ name, dependsOn = [] }, position): Named => {
        return { kind: "service", name, path: [...path, "listeners", position], dependsOn };
      }),
    ];
  });
  return [
    ...queues,
    ...entries.map(({ component: { kind, name }, path, dependsOn }) => ({ kind, name, path, dependsOn })),
  ];
}

function targetsIn(
  { rmq_consumers, defaults }: Heartbeat,
  entries: readonly Entry[],
  known: ReadonlyMap<string, ComponentName>,
): Targets {
  const parentsOf = (references: readonly string[] = []) =>
    references.flatMap((reference) => referred(reference, known));
  return {
    defaults,
    queues: rmq_consumers.map(({ queue, listeners, dependsOn, ...policy }): QueueEntry => ({
      queue,
      policy,
      dependsOn: parentsOf(dependsOn),
      listeners: listeners.map(({ name, tag, min = 1, dependsOn, ...policy }) => ({
        name,
        tag: tag.pattern,
        matches: tag.matches,
        min,
        policy,
        dependsOn: parentsOf(dependsOn),
      })),
    })),
    components: entries.map(({ component, dependsOn }) => ({
      ...component,
      dependsOn: parentsOf(dependsOn),
    })),
  };
}

/** Keys that are not for the publisher are taken out. */
function withoutNotes(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(withoutNotes);
  if (typeof json !== "object" || json === null) return json;
  const entries = Object.entries(json).filter(([key]) => !isNote(key));
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutNotes(value)]));
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
function namelessHosts(json: Json, { hosts }: Heartbeat): Finding[] {
  const paths = hosts.flatMap(({ name, host }, index) =>
    (name ?? host) === host ? [["heartbeat", "hosts", index]] : [],
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
