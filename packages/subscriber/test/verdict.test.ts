import { describe, expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { verdict, type VerdictRules } from "../src/verdict.ts";
import { component, heartbeat } from "./heartbeats.ts";

const T = 1_000_000;
const DEADLINE = T + 150_000;
const strict: VerdictRules = { expectedSites: [], unknownAs: "fail" };

function site(name: string, components = [component()]): SiteRecord {
  const rules = { expectedIntervalMs: 60_000, silenceFactor: 2.5 };
  const { record } = applyHeartbeat(undefined, heartbeat({ site: name, components }), name, T, rules);
  if (!record) throw new Error("not applied");
  return record;
}

describe("health", () => {
  const up = component();
  const down = component({ name: "mq", state: "down", reason: "consumer_missing" });
  const unknown = component({ name: "mq", state: "unknown", reason: "timeout" });

  test.each([
    { what: "nothing is known", records: [], isHealthy: false, says: "no site is known" },
    { what: "all up and fresh", records: [site("tsd", [up])], isHealthy: true },
    { what: "fresh until its deadline", records: [site("tsd")], nowMs: DEADLINE, isHealthy: true },
    {
      what: "silent after it",
      records: [site("tsd")],
      nowMs: DEADLINE + 1,
      isHealthy: false,
      says: "site tsd is silent",
    },
    {
      what: "one down",
      records: [site("tsd", [up, down])],
      isHealthy: false,
      says: "service mq (site tsd) is down",
    },
    { what: "one unknown", records: [site("tsd", [up, unknown])], isHealthy: false, says: "is unknown" },
    { what: "no component", records: [site("tsd", [])], isHealthy: false, says: "no component" },
    {
      what: "the record of another site is lost",
      records: [site("tsd")],
      lost: ["other"],
      isHealthy: false,
      says: "what was known of site other is lost",
    },
    {
      what: "another site is silent",
      records: [{ ...site("a"), deadlineMs: T - 1 }, site("b")],
      isHealthy: false,
      says: "site a is silent",
    },
    {
      what: "unknown as a warning",
      records: [site("tsd", [unknown])],
      rules: { unknownAs: "warn" as const },
      isHealthy: true,
      says: "is unknown",
    },
    {
      what: "a silent site fails even then",
      records: [site("tsd", [up])],
      rules: { unknownAs: "warn" as const },
      nowMs: DEADLINE + 1,
      isHealthy: false,
      says: "silent",
    },
    {
      what: "down fails even then",
      records: [site("tsd", [down])],
      rules: { unknownAs: "warn" as const },
      isHealthy: false,
      says: "is down",
    },
    {
      what: "an expected site was never heard",
      records: [site("tsd")],
      rules: { expectedSites: ["tsd", "other"] },
      isHealthy: false,
      says: "site other is expected",
    },
  ])("$what: healthy is $isHealthy", ({ records, lost = [], nowMs = T, rules, isHealthy, says }) => {
    const result = verdict({ records, lost }, nowMs, { ...strict, ...rules });
    expect(result.isHealthy).toBe(isHealthy);
    if (says === undefined) expect(result.problems).toEqual([]);
    else expect(result.problems.join("\n")).toContain(says);
  });
});

test("of a silent site nothing is known, and the last state stands beside it", () => {
  const [silent] = verdict({ records: [site("tsd")], lost: [] }, DEADLINE + 1, strict).sites;
  expect(silent).toMatchObject({
    state: "silent",
    components: [{ state: "unknown", lastState: "up", sinceMs: DEADLINE, reason: "site_silent" }],
  });
});

test("a silent site is one problem, told with the arithmetic behind it", () => {
  const { problems } = verdict(
    { records: [site("tsd", [component(), component({ name: "b" })])], lost: [] },
    DEADLINE + 1,
    strict,
  );
  expect(problems).toEqual([
    "site tsd is silent since 1970-01-01T00:19:10.000Z: last news 1970-01-01T00:16:40.000Z, announced every 60 s, allowed 150 s",
  ]);
});
