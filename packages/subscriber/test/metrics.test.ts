import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { describe, expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import type { AppOptions } from "../src/http/app.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { verdict, type Verdict, type VerdictRules } from "../src/verdict.ts";
import { builtApp } from "./built-app.ts";
import { component, connected, heartbeat, receipt, rules } from "./heartbeats.ts";
import { type Sample, samplesOf } from "./samples.ts";

const T = Date.UTC(2026, 10, 22, 10, 35, 6);
const AFTER_DEADLINE = T + 150_001;
const unreadable = async () => await Promise.reject<Verdict>(new Error("redis is away"));

function record(site: string, components = [component()]): SiteRecord {
  const message = heartbeat({ site, components, sentAtMs: T });
  const { record } = applyHeartbeat(undefined, message, site, receipt(T), rules);
  if (!record) throw new Error("not applied");
  return record;
}

interface Stored extends Partial<VerdictRules> {
  readonly records?: readonly SiteRecord[];
  readonly lost?: readonly string[];
  readonly nowMs?: number;
}

function verdictOf({ records = [], lost = [], nowMs = T, ...rest }: Stored): Verdict {
  return verdict({ records, lost }, nowMs, { expectedSites: [], unknownAs: "fail", ...rest }, connected);
}

function app(current: AppOptions["currentVerdict"], options: Partial<AppOptions> = {}) {
  return builtApp({ currentVerdict: current, now: () => T, ...options });
}

async function scrape(current: Verdict, options: Partial<AppOptions> = {}): Promise<Sample[]> {
  const { body } = await app(async () => current, options).inject("/metrics");
  return samplesOf(body);
}

/** The value of each series with these labels, by what distinguishes them. */
function valuesOf(samples: readonly Sample[], wanted: string, by: string) {
  return Object.fromEntries(
    samples.filter(({ name }) => name === wanted).map(({ labels, value }) => [labels[by], value]),
  );
}

test("tells all there is in Prometheus's text format, times and durations in seconds", async () => {
  const components = [
    component({
      name: "db",
      sinceMs: T - 5_000,
      latencyMs: 1.2,
      values: { constructor: -1, days_left: 12.4 },
    }),
    component({ kind: "queue", name: "inbox", state: "down", sinceMs: T - 500, severity: "warn" }),
  ];
  const current = verdictOf({ records: [record("tsd", components)] });
  const rejectedCounts = new Map([
    ["unsigned", 2],
    ["too_large", 0],
  ] as const);
  const response = await app(async () => current, { rejectedCounts: () => rejectedCounts }).inject(
    "/metrics",
  );
  expect(response.statusCode).toBe(200);
  expect(response.headers).toMatchObject({
    "content-type": "text/plain; version=0.0.4; charset=utf-8",
    "cache-control": "no-store",
  });
  const lines = response.body.split("\n").filter((line) => line !== "" && !line.startsWith("# HELP "));
  expect(lines).toEqual([
    "# TYPE heartbeat_build_info gauge",
    'heartbeat_build_info{version="1.2.3"} 1',
    "# TYPE heartbeat_broker_connected gauge",
    "heartbeat_broker_connected 1",
    "# TYPE heartbeat_store_connected gauge",
    "heartbeat_store_connected 1",
    "# TYPE heartbeat_store_writable gauge",
    "heartbeat_store_writable 1",
    "# TYPE heartbeat_healthy gauge",
    "heartbeat_healthy 1",
    "# TYPE heartbeat_messages_rejected_total counter",
    'heartbeat_messages_rejected_total{reason="unsigned"} 2',
    'heartbeat_messages_rejected_total{reason="too_large"} 0',
    "# TYPE heartbeat_site_state gauge",
    'heartbeat_site_state{site="tsd",state="fresh"} 1',
    'heartbeat_site_state{site="tsd",state="silent"} 0',
    'heartbeat_site_state{site="tsd",state="contested"} 0',
    'heartbeat_site_state{site="tsd",state="unknown"} 0',
    "# TYPE heartbeat_site_fresh_timestamp_seconds gauge",
    'heartbeat_site_fresh_timestamp_seconds{site="tsd"} 1795343706',
    "# TYPE heartbeat_site_deadline_timestamp_seconds gauge",
    'heartbeat_site_deadline_timestamp_seconds{site="tsd"} 1795343856',
    "# TYPE heartbeat_component_state gauge",
    'heartbeat_component_state{site="tsd",kind="service",component="db",state="up"} 1',
    'heartbeat_component_state{site="tsd",kind="service",component="db",state="down"} 0',
    'heartbeat_component_state{site="tsd",kind="service",component="db",state="unknown"} 0',
    'heartbeat_component_state{site="tsd",kind="queue",component="inbox",state="up"} 0',
    'heartbeat_component_state{site="tsd",kind="queue",component="inbox",state="down"} 1',
    'heartbeat_component_state{site="tsd",kind="queue",component="inbox",state="unknown"} 0',
    "# TYPE probe_success gauge",
    'probe_success{site="tsd",kind="service",component="db"} 1',
    'probe_success{site="tsd",kind="queue",component="inbox"} 0',
    "# TYPE probe_duration_seconds gauge",
    'probe_duration_seconds{site="tsd",kind="service",component="db"} 0.0012',
    "# TYPE heartbeat_component_last_change_timestamp_seconds gauge",
    'heartbeat_component_last_change_timestamp_seconds{site="tsd",kind="service",component="db"} 1795343701',
    'heartbeat_component_last_change_timestamp_seconds{site="tsd",kind="queue",component="inbox"} 1795343705.5',
    "# TYPE heartbeat_component_value gauge",
    'heartbeat_component_value{site="tsd",kind="service",component="db",value="constructor"} -1',
    'heartbeat_component_value{site="tsd",kind="service",component="db",value="days_left"} 12.4',
    "# TYPE heartbeat_component_warn_only gauge",
    'heartbeat_component_warn_only{site="tsd",kind="queue",component="inbox"} 1',
  ]);
});

describe("a component", () => {
  test.each<{ what: string; state: State; nowMs?: number; is: State; success: number; measured?: boolean }>([
    { what: "up", state: "up", is: "up", success: 1, measured: true },
    { what: "down", state: "down", is: "down", success: 0, measured: true },
    { what: "unknown", state: "unknown", is: "unknown", success: 0 },
    {
      what: "up when its site fell silent",
      state: "up",
      nowMs: AFTER_DEADLINE,
      is: "unknown",
      success: 0,
    },
  ])("$what: $is, probe_success $success", async ({ state, nowMs = T, is, success, measured = false }) => {
    const values = { days_left: 12.4 };
    const records = [record("tsd", [component({ state, latencyMs: 250, values, severity: "warn" })])];
    const samples = await scrape(verdictOf({ records, nowMs }));
    const expected = { up: 0, down: 0, unknown: 0, [is]: 1 };
    expect(valuesOf(samples, "heartbeat_component_state", "state")).toEqual(expected);
    expect(valuesOf(samples, "probe_success", "component")).toEqual({ db: success });
    const durations = measured ? { db: 0.25 } : {};
    expect(valuesOf(samples, "probe_duration_seconds", "component")).toEqual(durations);
    expect(valuesOf(samples, "heartbeat_component_value", "value")).toEqual(measured ? values : {});
    expect(valuesOf(samples, "heartbeat_component_warn_only", "component")).toEqual({ db: 1 });
  });
});

describe("a site", () => {
  const contested = verdictOf({ records: [record("tsd")] });
  test.each([
    {
      what: "that is expected and fresh",
      state: "fresh",
      current: verdictOf({ records: [record("tsd")] }),
      expectedSites: ["tsd"],
    },
    {
      what: "past its deadline",
      state: "silent",
      current: verdictOf({ records: [record("tsd")], nowMs: AFTER_DEADLINE }),
    },
    {
      what: "with two publishers",
      state: "contested",
      current: {
        ...contested,
        sites: contested.sites.map((site) => ({ ...site, state: "contested" as const })),
      },
    },
    { what: "whose record is lost", state: "unknown", current: verdictOf({ lost: ["tsd"] }) },
    { what: "that was never heard", state: "unknown", current: verdictOf({}), expectedSites: ["tsd"] },
    {
      what: "that is expected and lost",
      state: "unknown",
      current: verdictOf({ lost: ["tsd"] }),
      expectedSites: ["tsd"],
    },
  ])("$what is $state", async ({ state, current, expectedSites = [] }) => {
    const samples = await scrape(current, { expectedSites });
    const states = samples.filter(({ name }) => name === "heartbeat_site_state");
    expect(states).toHaveLength(4);
    const expected = { fresh: 0, silent: 0, contested: 0, unknown: 0, [state]: 1 };
    expect(valuesOf(samples, "heartbeat_site_state", "state")).toEqual(expected);
    const times = samples.filter(
      ({ name }) => name.startsWith("heartbeat_site_") && name.endsWith("_seconds"),
    );
    expect(times).toHaveLength(state === "unknown" ? 0 : 2);
  });
});

describe("heartbeat_healthy is what /health says", () => {
  const unknown = record("tsd", [component({ state: "unknown" })]);
  test.each([
    { when: "all is up", current: verdictOf({ records: [record("tsd")] }), code: 200 },
    {
      when: "one is down",
      current: verdictOf({ records: [record("tsd", [component({ state: "down" })])] }),
      code: 503,
    },
    { when: "nothing is known", current: verdictOf({}), code: 503 },
    { when: "a site is lost", current: verdictOf({ records: [record("a")], lost: ["b"] }), code: 503 },
    {
      when: "a site is silent",
      current: verdictOf({ records: [record("a")], nowMs: AFTER_DEADLINE }),
      code: 503,
    },
    {
      when: "an expected site was never heard",
      current: verdictOf({ records: [record("a")], expectedSites: ["b"] }),
      code: 503,
    },
    { when: "a site has no component", current: verdictOf({ records: [record("a", [])] }), code: 503 },
    { when: "one is unknown", current: verdictOf({ records: [unknown] }), code: 503 },
    {
      when: "one is unknown and that is a warning",
      current: verdictOf({ records: [unknown], unknownAs: "warn" }),
      code: 200,
    },
    {
      when: "one that only warns is down",
      current: verdictOf({ records: [record("tsd", [component({ state: "down", severity: "warn" })])] }),
      code: 200,
    },
  ])("when $when: $code", async ({ current, code }) => {
    const asked = app(async () => current);
    expect((await asked.inject("/health")).statusCode).toBe(code);
    const samples = samplesOf((await asked.inject("/metrics")).body);
    expect(samples).toContainEqual({ name: "heartbeat_healthy", labels: {}, value: code === 200 ? 1 : 0 });
  });
});

test("while the state cannot be read there is no series of a site, not even an old one", async () => {
  let current: AppOptions["currentVerdict"] = async () => verdictOf({ records: [record("tsd")] });
  const asked = app(() => current(), {
    isBrokerConnected: () => false,
    rejectedCounts: () => new Map([["unsigned", 1]]),
    expectedSites: ["other"],
  });
  expect((await asked.inject("/metrics")).body).toContain('site="tsd"');
  current = unreadable;
  const response = await asked.inject("/metrics");
  expect(response.statusCode).toBe(200);
  expect(samplesOf(response.body)).toEqual([
    { name: "heartbeat_build_info", labels: { version: "1.2.3" }, value: 1 },
    { name: "heartbeat_broker_connected", labels: {}, value: 0 },
    { name: "heartbeat_store_connected", labels: {}, value: 0 },
    { name: "heartbeat_store_writable", labels: {}, value: 0 },
    { name: "heartbeat_healthy", labels: {}, value: 0 },
    { name: "heartbeat_messages_rejected_total", labels: { reason: "unsigned" }, value: 1 },
  ]);
});

test("answers that are made at the same time do not mix", async () => {
  const sites = Array.from({ length: 20 }, (_, index) => `site-${index}`);
  let asked = 0;
  const allAsked = Promise.withResolvers<void>();
  const answers = await Promise.all(
    sites.map(async (site) => {
      const slow = app(async () => {
        asked += 1;
        if (asked === sites.length) allAsked.resolve();
        await allAsked.promise;
        return verdictOf({ records: [record(site)] });
      });
      return await slow.inject("/metrics");
    }),
  );
  const told = answers.map(({ body }) =>
    Object.keys(valuesOf(samplesOf(body), "probe_success", "site")).join(" and "),
  );
  expect(told.toSorted()).toEqual(sites.toSorted());
});

test("names cannot break out of their label", async () => {
  const names = [
    'quote"',
    "back\\slash",
    "\\",
    "\\n",
    "line\nbreak",
    "carriage\rreturn",
    "null\0",
    '"} 1\nheartbeat_healthy 1',
    'a",kind="queue',
    "a,kind:queue,site:tsd",
    "__proto__",
    "# HELP",
    "\u2028🙂",
  ];
  const components = names.map((name) => component({ name, latencyMs: 1 }));
  const samples = await scrape(verdictOf({ records: [record("tsd", components)], lost: ["other"] }));
  for (const metric of ["probe_success", "probe_duration_seconds", "heartbeat_component_state"]) {
    expect(Object.keys(valuesOf(samples, metric, "component"))).toEqual(names);
  }
  const perComponent = 6;
  const others = 5 + 2 * 4 + 2;
  expect(samples).toHaveLength(names.length * perComponent + others);
  expect(samples.filter(({ name }) => name === "heartbeat_healthy")).toMatchObject([{ value: 0 }]);
});
