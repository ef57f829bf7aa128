import type { ComponentReport } from "@pipeline-heartbeat/shared/heartbeat.ts";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyHeartbeat, keyOf } from "../src/apply.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { type SiteVerdict, verdict, type Verdict } from "../src/verdict.ts";
import { component, connected, heartbeat, receipt, rules } from "./heartbeats.ts";

const T = 1_000_000;
const SINCE = "since 1970-01-01T00:15:00.000Z";

function record(components: readonly ComponentReport[], site = "tsd"): SiteRecord {
  const message = heartbeat({ site, components });
  const applied = applyHeartbeat(undefined, message, site, receipt(T), rules).record;
  if (!applied) throw new Error("not applied");
  return applied;
}

function verdictOf(records: readonly SiteRecord[], unknownAs: "fail" | "warn" = "fail", nowMs = T): Verdict {
  return verdict({ records, lost: [] }, nowMs, { expectedSites: [], unknownAs }, connected);
}

type Parts = Partial<ComponentReport>;

const up = (name: string, parts: Parts = {}) => component({ name, ...parts });
const down = (name: string, parts: Parts = {}) =>
  component({ name, state: "down", reason: "timeout", ...parts });
const unknown = (name: string, parts: Parts = {}) =>
  component({ name, state: "unknown", reason: "timeout", ...parts });
/** Unknown because of the service of that name. */
const behind = (parent: string, name: string, parts: Parts = {}) =>
  unknown(name, { reason: "parent_down", because: `service:${parent}`, ...parts });
const warn = { severity: "warn" } as const;

interface Case {
  readonly what: string;
  readonly components: readonly ComponentReport[];
  readonly unknownAs?: "warn";
  /** The lines' names, each with what is said of those behind it. */
  readonly problems?: readonly string[];
  readonly warnings?: readonly string[];
}

/** `a down`, `b unknown <service:a`, `a down +2`: a component's name and state, its parent, how many depend on it. */
function short(lines: readonly string[]): string[] {
  return lines.map((line) => {
    const [, name, state, parent] =
      / (\S+) \(site tsd\) is (\w+) since \S+?(?: because of (\S+?))?(?=: )/.exec(line) ?? [];
    const behind = / \((\d+) components? depends? on it\)$/.exec(line)?.[1];
    return `${name} ${state}${parent ? ` <${parent}` : ""}${behind ? ` +${behind}` : ""}`;
  });
}

const cases: readonly Case[] = [
  { what: "all are up", components: [up("a"), up("b", warn)] },
  { what: "one is down", components: [down("a")], problems: ["a down"] },
  { what: "one is unknown", components: [unknown("a")], problems: ["a unknown"] },
  { what: "one is unknown", components: [unknown("a")], unknownAs: "warn", warnings: ["a unknown"] },
  { what: "one that only warns is down", components: [down("a", warn)], warnings: ["a down"] },
  { what: "one that only warns is unknown", components: [unknown("a", warn)], warnings: ["a unknown"] },
  {
    what: "one that only warns is down and another one is unknown",
    components: [unknown("b"), down("a", warn)],
    problems: ["b unknown"],
    warnings: ["a down"],
  },
  {
    what: "others depend on what is down",
    components: [behind("a", "b"), down("a"), behind("a", "c")],
    problems: ["a down +2"],
  },
  {
    what: "others depend on what is down",
    components: [behind("a", "b"), down("a")],
    unknownAs: "warn",
    problems: ["a down +1"],
  },
  {
    what: "one that only warns depends on what is down",
    components: [down("a"), behind("a", "b", warn)],
    problems: ["a down +1"],
  },
  {
    what: "one depends on what is down and only warns",
    components: [down("a", warn), behind("a", "b")],
    problems: ["b unknown <service:a"],
    warnings: ["a down"],
  },
  {
    what: "one depends on what is down and only warns",
    components: [down("a", warn), behind("a", "b")],
    unknownAs: "warn",
    problems: ["b unknown <service:a"],
    warnings: ["a down"],
  },
  {
    what: "both only warn",
    components: [down("a", warn), behind("a", "b", warn)],
    warnings: ["a down +1"],
  },
  {
    what: "of two that depend on what only warns one only warns",
    components: [down("a", warn), behind("a", "b", warn), behind("a", "c")],
    problems: ["c unknown <service:a"],
    warnings: ["a down +1"],
  },
  {
    what: "the parent is not there",
    components: [up("a"), behind("gone", "b")],
    unknownAs: "warn",
    problems: ["b unknown <service:gone"],
  },
  {
    what: "the parent is not there and the child only warns",
    components: [up("a"), behind("gone", "b", warn)],
    warnings: ["b unknown <service:gone"],
  },
  {
    what: "the parent is up",
    components: [up("a"), behind("a", "b", { reason: "parent_unconfirmed" })],
    unknownAs: "warn",
    problems: ["b unknown <service:a"],
  },
  {
    what: "the parent is unknown by itself",
    components: [unknown("a"), behind("a", "b")],
    problems: ["a unknown +1"],
  },
  {
    what: "the parent is unknown by itself, which is a warning",
    components: [unknown("a"), behind("a", "b"), behind("a", "c", warn)],
    unknownAs: "warn",
    problems: ["b unknown <service:a"],
    warnings: ["a unknown +1"],
  },
  {
    what: "the parent is a queue of the child's name",
    components: [down("a", { kind: "queue" }), unknown("a", { because: "queue:a" })],
    problems: ["a down +1"],
  },
  {
    what: "the parent has a service's name and is a queue",
    components: [down("a", { kind: "queue" }), behind("a", "b")],
    problems: ["a down", "b unknown <service:a"],
  },
  {
    what: "parents have parents",
    components: [behind("b", "c"), behind("a", "b"), down("a"), behind("c", "d", warn)],
    problems: ["a down +3"],
  },
  {
    what: "parents have parents, of which the first only warns",
    components: [down("a", warn), behind("a", "b"), behind("b", "c")],
    problems: ["b unknown <service:a", "c unknown <service:b"],
    warnings: ["a down"],
  },
  {
    what: "one is its own parent",
    components: [behind("a", "a")],
    unknownAs: "warn",
    problems: ["a unknown <service:a"],
  },
  {
    what: "two are each other's parents, and another one's",
    components: [behind("b", "a"), behind("a", "b"), behind("a", "c", warn)],
    unknownAs: "warn",
    problems: ["a unknown <service:b", "b unknown <service:a"],
    warnings: ["c unknown <service:a"],
  },
  {
    what: "one that is down names a parent",
    components: [down("a"), down("b", { because: "service:a" })],
    problems: ["a down", "b down"],
  },
  {
    what: "one that is up names a parent, and is one",
    components: [down("a"), up("b", { because: "service:a" }), behind("b", "c")],
    problems: ["a down", "c unknown <service:b"],
  },
  {
    what: "names are those of every object",
    components: [down("__proto__"), behind("__proto__", "constructor"), behind("toString", "b")],
    problems: ["__proto__ down +1", "b unknown <service:toString"],
  },
];

test.each(cases)(
  "$what (unknown as $unknownAs): $problems, as warnings $warnings",
  ({ components, unknownAs, problems = [], warnings = [] }) => {
    const result = verdictOf([record(components)], unknownAs);
    expect({ problems: short(result.problems), warnings: short(result.warnings) }).toEqual({
      problems,
      warnings,
    });
    expect(result.isHealthy).toBe(problems.length === 0);
  },
);

test("the lines say what is the matter, for a person", () => {
  const components = [down("a"), behind("a", "b"), behind("a", "c"), behind("gone", "d"), up("e")];
  expect(verdictOf([record(components)]).problems).toEqual([
    `service a (site tsd) is down ${SINCE}: timeout (2 components depend on it)`,
    `service d (site tsd) is unknown ${SINCE} because of service:gone: parent_down`,
  ]);
  const bare = [down("a", { reason: undefined }), behind("a", "b", { reason: undefined })];
  expect(verdictOf([record(bare)]).problems).toEqual([
    `service a (site tsd) is down ${SINCE} (1 component depends on it)`,
  ]);
});

test("a parent of another site explains nothing", () => {
  const { problems } = verdictOf([record([down("a")], "other"), record([behind("a", "b")], "tsd")]);
  expect(problems).toEqual([
    `service a (site other) is down ${SINCE}: timeout`,
    `service b (site tsd) is unknown ${SINCE} because of service:a: parent_down`,
  ]);
});

describe("a site that only warns", () => {
  const only = record([down("a", warn), behind("a", "b", warn), up("c", warn)]);

  test("is well while it is heard", () => {
    expect(verdictOf([only])).toMatchObject({ isHealthy: true, problems: [] });
  });

  test("fails when it is silent, in one line, as nothing is known of it", () => {
    const { isHealthy, problems, warnings } = verdictOf([only], "warn", T + 150_001);
    expect({ isHealthy, warnings }).toEqual({ isHealthy: false, warnings: [] });
    expect(problems).toEqual([expect.stringContaining("site tsd is silent")]);
  });
});

test("while two publishers speak for a site nothing follows from anything", () => {
  const replaced = {
    bootId: "boot-0",
    sequence: 1,
    replacedAtMs: T - 200_000,
    heardSince: { sequence: 9, atMs: T },
  };
  const both = record([down("a"), behind("a", "b")]);
  const { problems, isHealthy } = verdictOf([{ ...both, boots: [replaced, ...both.boots] }]);
  expect(isHealthy).toBe(false);
  expect(problems[0]).toContain("two publishers");
  expect(short(problems.slice(1))).toEqual(["a down", "b unknown <service:a"]);
});

test("a chain that is too long to be one ends in lines, and costs no more than a moment", () => {
  const chain = Array.from({ length: 15_000 }, (_, index) => behind(`${index - 1}`, `${index}`));
  const startedMs = performance.now();
  const { problems, isHealthy } = verdictOf([record([down("-1"), ...chain])]);
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  expect(isHealthy).toBe(false);
  expect(problems.length).toBeGreaterThan(14_000);
});

describe("whatever a heartbeat says", () => {
  const names = ["a", "b", "c", "d", "e"];
  const anyComponent = fc.record({
    kind: fc.constantFrom("service" as const, "queue" as const),
    name: fc.constantFrom(...names),
    state: fc.constantFrom("up" as const, "down" as const, "unknown" as const, "unknown" as const),
    severity: fc.constantFrom(undefined, undefined, "warn" as const),
    because: fc.constantFrom(
      undefined,
      "service:nobody",
      ...names.flatMap((name) => [`service:${name}`, `queue:${name}`]),
    ),
    reason: fc.constant("timeout"),
    sinceMs: fc.constant(T),
    observedAtMs: fc.constant(T),
  });
  const components = fc.uniqueArray(anyComponent, { minLength: 1, maxLength: 10, selector: keyOf });
  const unknownAs = fc.constantFrom("fail" as const, "warn" as const);

  /** Told by its own line, or by that of a component that its parents lead to. */
  function isTold(one: ComponentReport, { components: all }: SiteVerdict, lines: readonly string[]): boolean {
    const isListed = ({ kind, name }: ComponentReport) =>
      lines.some((line) => line.startsWith(`${kind} ${name} (site tsd)`));
    const seen = new Set<string>();
    for (let at: ComponentReport | undefined = one; at && !seen.has(keyOf(at));) {
      if (isListed(at)) return true;
      seen.add(keyOf(at));
      const because: string | undefined = at.because;
      at = all.find((other) => keyOf(other) === because);
    }
    return false;
  }

  test("nothing that fails makes it well, and nothing that is not up goes untold", () => {
    fc.assert(
      fc.property(components, unknownAs, (reported, as) => {
        const { isHealthy, problems, warnings, sites } = verdictOf([record(reported)], as);
        const [site] = sites;
        if (!site) throw new Error("no site");
        const failing = reported.filter(
          ({ state, severity, because }) =>
            severity !== "warn" &&
            (state === "down" || (state === "unknown" && (as === "fail" || because !== undefined))),
        );
        expect(isHealthy).toBe(failing.length === 0);
        expect(problems.length > 0).toBe(!isHealthy);
        for (const one of reported) {
          if (one.state === "up") continue;
          const lines = failing.includes(one) ? problems : [...problems, ...warnings];
          expect(isTold(one, site, lines), keyOf(one)).toBe(true);
        }
        // What is down has a line of its own, whatever it says of others.
        const own = reported
          .filter(({ state }) => state === "down")
          .map(({ kind, name }) => `${kind} ${name} `);
        expect(
          own.filter((start) => ![...problems, ...warnings].some((line) => line.startsWith(start))),
        ).toEqual([]);
      }),
      { numRuns: 3_000 },
    );
  });

  test("each that is not up is in one line or counted in one", () => {
    fc.assert(
      fc.property(components, unknownAs, (reported, as) => {
        const { problems, warnings } = verdictOf([record(reported)], as);
        const lines = [...problems, ...warnings];
        const behind = lines.map((line) => Number(/ \((\d+) component/.exec(line)?.[1] ?? 0));
        const told = behind.reduce((sum, count) => sum + count, lines.length);
        expect(told).toBe(reported.filter(({ state }) => state !== "up").length);
      }),
      { numRuns: 1_000 },
    );
  });
});
