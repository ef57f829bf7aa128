import { describe, expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { verdict, type VerdictRules } from "../src/verdict.ts";
import { component, connected, heartbeat, receipt, rules } from "./heartbeats.ts";

const T = 1_000_000;
const DEADLINE = T + 150_000;
const strict: VerdictRules = { expectedSites: [], unknownAs: "fail" };

function site(name: string, components = [component()]): SiteRecord {
  const { record } = applyHeartbeat(
    undefined,
    heartbeat({ site: name, components }),
    name,
    receipt(T),
    rules,
  );
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
    const result = verdict({ records, lost }, nowMs, { ...strict, ...rules }, connected);
    expect(result.isHealthy).toBe(isHealthy);
    const said = isHealthy ? result.warnings : result.problems;
    if (says === undefined) expect(said).toEqual([]);
    else expect(said.join("\n")).toContain(says);
  });
});

test("while what came cannot be stored nothing is healthy, whatever is stored", () => {
  const view = { ...connected, storeTrouble: "it is out of memory" };
  const { isHealthy, problems } = verdict({ records: [site("tsd")], lost: [] }, T, strict, view);
  const told = "heartbeats cannot be stored in Redis, so what it holds may be old: it is out of memory";
  expect({ isHealthy, problems }).toEqual({ isHealthy: false, problems: [told] });
});

test("of a silent site nothing is known, and the last state stands beside it", () => {
  const [silent] = verdict({ records: [site("tsd")], lost: [] }, DEADLINE + 1, strict, connected).sites;
  expect(silent).toMatchObject({
    state: "silent",
    components: [{ state: "unknown", lastState: "up", sinceMs: DEADLINE, reason: "site_silent" }],
  });
});

test("of what is not known now no value is told, nor a cause from before the silence", () => {
  const values = { messages_ready: 3 };
  const components = [
    component({ name: "up", values, severity: "warn" }),
    component({ name: "down", state: "down", values }),
    component({ name: "unknown", state: "unknown", values, because: "service:down" }),
  ];
  const told = (nowMs: number) =>
    verdict({ records: [site("tsd", components)], lost: [] }, nowMs, strict, connected).sites.flatMap((one) =>
      one.components.map(({ name, values: said, severity, because }) => ({ name, said, severity, because })),
    );
  expect(told(DEADLINE)).toEqual([
    { name: "up", said: values, severity: "warn" },
    { name: "down", said: values },
    { name: "unknown", because: "service:down" },
  ]);
  expect(told(DEADLINE + 1)).toEqual([
    { name: "up", severity: "warn" },
    { name: "down" },
    { name: "unknown" },
  ]);
});

test("a silent site is one problem, told with the arithmetic behind it", () => {
  const { problems } = verdict(
    { records: [site("tsd", [component(), component({ name: "b" })])], lost: [] },
    DEADLINE + 1,
    strict,
    connected,
  );
  expect(problems).toEqual([
    "site tsd is silent since 1970-01-01T00:19:10.000Z: its publisher has fallen silent; last news 1970-01-01T00:16:40.000Z, every 60 s expected, 150 s allowed",
  ]);
});

describe("the cause of a silence", () => {
  const goodbye = { ...site("tsd"), cause: "goodbye" as const };
  test.each([
    { what: "connected all the time", cause: "publisher_silent" },
    { what: "after a goodbye", record: goodbye, cause: "goodbye" },
    { what: "never connected", view: { brokerAwaySinceMs: 0 }, cause: "broker_unreachable" },
    {
      what: "disconnected before the deadline",
      view: { brokerAwaySinceMs: DEADLINE - 1 },
      cause: "broker_unreachable",
    },
    {
      what: "disconnected after the deadline",
      view: { brokerAwaySinceMs: DEADLINE + 1 },
      cause: "publisher_silent",
    },
    {
      what: "when what came cannot be stored",
      record: goodbye,
      view: { storeTrouble: "it is out of memory", isCatchingUp: true, brokerAwaySinceMs: DEADLINE - 1 },
      cause: "not_stored",
    },
    { what: "still catching up", record: goodbye, view: { isCatchingUp: true }, cause: "catching_up" },
    {
      what: "away after a goodbye",
      record: goodbye,
      view: { brokerAwaySinceMs: DEADLINE - 1, isCatchingUp: true },
      cause: "broker_unreachable",
    },
  ])("$what: $cause", ({ record = site("tsd"), view, cause }) => {
    const all = { records: [record], lost: [] };
    const { sites, isHealthy } = verdict(all, DEADLINE + 2, strict, { ...connected, ...view });
    expect({ cause: sites[0]?.cause, isHealthy }).toEqual({ cause, isHealthy: false });
  });

  test("there is none while the site is fresh, even without a broker", () => {
    const view = { ...connected, brokerAwaySinceMs: 0, isCatchingUp: true };
    const { sites, isHealthy } = verdict({ records: [site("tsd")], lost: [] }, T, strict, view);
    expect({ cause: sites[0]?.cause, isHealthy }).toEqual({ cause: undefined, isHealthy: true });
  });
});

test.each([
  { behindMs: 300_001, warnings: ["the clock of site tsd is 300 s behind, measured by the one here"] },
  { behindMs: -600_000, warnings: ["the clock of site tsd is 600 s ahead, measured by the one here"] },
  { behindMs: 300_000, warnings: [] },
])("a wall clock that is off by $behindMs ms: $warnings", ({ behindMs, warnings }) => {
  const record = site("tsd");
  const off = { ...record, clock: { ...record.clock, wallMs: behindMs } };
  const result = verdict({ records: [off], lost: [] }, T, strict, connected);
  expect(result).toMatchObject({ isHealthy: true, warnings });
});
