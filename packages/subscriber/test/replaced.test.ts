import { expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import { replacementOf } from "../src/replaced.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { component, heartbeat, receipt, rules } from "./heartbeats.ts";

const T = 1_000_000;
const LATER = T + 600_000;
const LONG_AGO = T - 900_000;

function site(name: string, components: string[], atMs: number, firstHeardAtMs = atMs): SiteRecord {
  const reports = components.map((name) => component({ name }));
  const message = heartbeat({ site: name, sentAtMs: atMs, components: reports });
  const { record } = applyHeartbeat(undefined, message, name, receipt(atMs), rules);
  if (!record) throw new Error("not applied");
  return { ...record, firstHeardAtMs };
}

test.each([
  {
    what: "by a site that reports all that it did",
    nameless: site("default", ["db", "mq"], T, LONG_AGO),
    named: site("tsd", ["mq", "db", "x"], LATER),
    by: "tsd",
  },
  {
    what: "not by one that reports less",
    nameless: site("default", ["db", "mq"], T, LONG_AGO),
    named: site("tsd", ["db"], LATER),
    by: undefined,
  },
  {
    what: "not by one that is silent itself",
    nameless: site("default", ["db"], T, LONG_AGO),
    named: site("tsd", ["db"], T),
    by: undefined,
  },
  {
    what: "not while it is fresh",
    nameless: site("default", ["db"], LATER, LONG_AGO),
    named: site("tsd", ["db"], LATER),
    by: undefined,
  },
  {
    what: "not when it reported nothing",
    nameless: site("default", [], T, LONG_AGO),
    named: site("tsd", ["db"], LATER),
    by: undefined,
  },
  {
    what: "not by one that was heard beside it",
    nameless: site("default", ["db"], T, LONG_AGO),
    named: { ...site("tsd", ["db"], LATER), firstHeardAtMs: T - 120_001 },
    by: undefined,
  },
  {
    what: "not by one that came much later",
    nameless: site("default", ["db"], T, LONG_AGO),
    named: site("tsd", ["db"], LATER, LATER + 1),
    by: undefined,
  },
  {
    what: "not by one that has been known for as long",
    nameless: site("default", ["db"], T, T - 180_000),
    named: site("tsd", ["db"], LATER, T - 60_000),
    by: undefined,
  },
  {
    what: "by one that came shortly before it went",
    nameless: site("default", ["db"], T, LONG_AGO),
    named: { ...site("tsd", ["db"], LATER), firstHeardAtMs: T - 120_000 },
    by: "tsd",
  },
])("a silent nameless site is replaced $what", ({ nameless, named, by }) => {
  expect(replacementOf(nameless, [nameless, named], LATER)).toBe(by);
});
