import { expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import { heartbeatBody } from "../src/http/heartbeat.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { verdict } from "../src/verdict.ts";
import { component, connected, heartbeat, receipt, rules } from "./heartbeats.ts";

const T = Date.UTC(2026, 10, 22, 10, 35, 6);
const DEADLINE = T + 150_000;
const EXPECTED = ["tsd"];

function site(name: string, components = [component({ observedAtMs: T })]): SiteRecord {
  const message = heartbeat({ site: name, components, sentAtMs: T });
  const { record } = applyHeartbeat(undefined, message, name, receipt(T), rules);
  if (!record) throw new Error("not applied");
  return record;
}

function body(records: SiteRecord[], { nowMs = T, expected = EXPECTED, lost = [] as string[] } = {}) {
  const strict = { expectedSites: expected, unknownAs: "fail" as const };
  return heartbeatBody(verdict({ records, lost }, nowMs, strict, connected), expected);
}

const up = component({ observedAtMs: T });
const queue = component({ kind: "queue", name: "inbox", state: "down", observedAtMs: T });

test.each([
  { what: "all up", given: body([site("tsd")]), status: "ALL_OK" },
  { what: "a queue down", given: body([site("tsd", [up, queue])]), status: "MISSING_QUEUES" },
  {
    what: "a service unknown",
    given: body([site("tsd", [component({ state: "unknown" })])]),
    status: "MISSING_SERVICES",
  },
  {
    what: "a silent site",
    given: body([site("tsd", [up, { ...queue, state: "up" as const }])], { nowMs: DEADLINE + 1 }),
    status: "MISSING_SERVICES_AND_QUEUES",
  },
  { what: "no site at all", given: body([], { expected: [] }), status: "MISSING_SERVICES" },
  { what: "a site without components", given: body([site("tsd", [])]), status: "MISSING_SERVICES" },
  {
    what: "an expected site that is unknown",
    given: body([site("a")], { expected: ["a", "b"] }),
    status: "MISSING_SERVICES",
  },
  {
    what: "a site whose record is lost",
    given: body([site("tsd")], { lost: ["b"] }),
    status: "MISSING_SERVICES",
  },
  {
    what: "the same name in two sites, down in one",
    given: body([site("tsd"), site("b", [component({ state: "down" })])]),
    status: "MISSING_SERVICES",
  },
])("$what: $status", ({ given, status }) => {
  expect(given.status).toBe(status);
});

test("what is missing has a name", () => {
  expect(body([], { expected: ["b"] }).services.map(({ name }) => name)).toEqual([
    "heartbeat",
    "heartbeat-b",
  ]);
});

test("a silent component has failed at its deadline, and was ok before", () => {
  expect(body([site("tsd")], { nowMs: DEADLINE + 1 }).services).toEqual([
    {
      name: "db",
      status: "not_ok",
      last_seen_ok: "2026-11-22T10:35:06",
      last_seen_failed: "2026-11-22T10:37:36",
    },
  ]);
});

test("while what came cannot be stored it is not ok, under a name that no component has", () => {
  const view = { ...connected, storeTrouble: "it is out of memory" };
  const current = verdict(
    { records: [site("tsd")], lost: [] },
    T,
    { expectedSites: [], unknownAs: "fail" },
    view,
  );
  expect(heartbeatBody(current, [])).toMatchObject({
    status: "MISSING_SERVICES",
    services: [
      { name: "db", status: "ok" },
      { name: "heartbeat", status: "not_ok" },
    ],
  });
});
