import { describe, expect, test } from "vitest";
import { composeHeartbeat } from "../src/compose.ts";
import type { Standing } from "../src/standing.ts";
import type { WatchedTarget } from "../src/watch.ts";
import { POLICY, watchedTarget } from "./watched.ts";

const boot = { site: "tsd", bootId: "b", startedAtMs: 0, intervalMs: 60_000, detail: "code" as const };
const beat = { sequence: 1, sentAtMs: 10_000, uptimeMs: 10_000, cause: "interval" as const };

function target(
  section: WatchedTarget["section"],
  name: string,
  standing: Partial<Standing>,
  severity: "fail" | "warn" = "fail",
): WatchedTarget {
  const kind = section === "queues" ? "queue" : "service";
  const policy = { ...POLICY, severity };
  return watchedTarget(
    { kind, name, section, probe: section === "hosts" ? "tcp" : "consumers", policy },
    standing,
  );
}

const targets = [
  target("hosts", "sda-db", {
    state: "down",
    reason: "connection_refused",
    detail: "connect 10.0.0.7",
    latencyMs: 2,
  }),
  target("queues", "inbox", {}),
  target("services", "mq-interceptor", { sinceMs: 1_000 }),
  target("queues", "error", { state: "down", reason: "consumer_missing" }),
  target("services", "mq-interceptor", { state: "down", reason: "consumer_missing", sinceMs: 5_000 }),
  target("services", "mq-interceptor", { state: "unknown", reason: "timeout", sinceMs: 2_000 }),
];

test("lists every target as upstream does, a service once for each of its queues", () => {
  const { hosts, queues, services } = composeHeartbeat(boot, beat, targets);
  expect(hosts.map(({ name, state }) => [name, state])).toEqual([["sda-db", "down"]]);
  expect(queues.map(({ name }) => name)).toEqual(["inbox", "error"]);
  expect(services.map(({ state }) => state)).toEqual(["up", "down", "unknown"]);
});

test("has each component once, as bad as the worst of its targets", () => {
  const { components } = composeHeartbeat(boot, beat, targets);
  expect(components.map(({ kind, name, state }) => `${kind} ${name} ${state}`)).toEqual([
    "service sda-db down",
    "queue inbox up",
    "service mq-interceptor down",
    "queue error down",
  ]);
  expect(components[2]).toMatchObject({ reason: "consumer_missing", sinceMs: 5_000 });
});

test.each([
  { state: "up" as const, sinceMs: 5_000 },
  { state: "down" as const, sinceMs: 1_000 },
  { state: "unknown" as const, sinceMs: 1_000 },
])("a component whose targets are all $state is so since $sinceMs", ({ state, sinceMs }) => {
  const times = [3_000, 1_000, 5_000, 1_000];
  const group = times.map((sinceMs) => target("services", "worker", { state, sinceMs }));
  expect(composeHeartbeat(boot, beat, group).components).toMatchObject([{ state, sinceMs }]);
});

test.each([
  { detail: "none" as const, reason: undefined, words: undefined },
  { detail: "code" as const, reason: "connection_refused", words: undefined },
  { detail: "text" as const, reason: "connection_refused", words: "connect 10.0.0.7" },
])("with detail $detail no more leaves than that", ({ detail, reason, words }) => {
  const [database] = composeHeartbeat({ ...boot, detail }, beat, targets).components;
  expect(database?.reason).toBe(reason);
  expect(database?.latencyMs).toBe(reason && 2);
  expect(database?.detail).toBe(words);
  expect(JSON.stringify(database).includes("10.0.0.7")).toBe(words !== undefined);
});

describe("what is measured, and how much it matters", () => {
  const report = (group: WatchedTarget[], detail: "none" | "code" = "code") =>
    composeHeartbeat({ ...boot, detail }, beat, group).components[0];

  test("values of all its targets leave with a component, unless nothing but states may", () => {
    const group = [
      target("queues", "q", { values: { consumers: 2 } }),
      target("queues", "q", { state: "down", values: { messages_ready: 7 } }),
    ];
    expect(report(group)?.values).toEqual({ consumers: 2, messages_ready: 7 });
    expect(report(group, "none")).not.toMatchObject({ values: expect.anything() });
    expect(report([target("queues", "q", {})])?.values).toBeUndefined();
  });

  test("the parent because of which nothing is known is named", () => {
    const because = { kind: "service", name: "mq" } as const;
    const child = target("services", "worker", { state: "unknown", reason: "parent_down", because });
    expect(report([child])).toMatchObject({ reason: "parent_down", because: "service:mq" });
    const bare = report([child], "none");
    expect([bare?.because, bare?.reason]).toEqual(["service:mq", undefined]);
    const older = target("services", "worker", { state: "unknown", reason: "timeout", sinceMs: -1 });
    expect(report([older, child])).toMatchObject({ reason: "timeout", because: "service:mq" });
  });

  test.each([
    { of: [["up", "warn"]], severity: "warn" },
    { of: [["up", "fail"]], severity: undefined },
    {
      of: [
        ["up", "fail"],
        ["up", "warn"],
      ],
      severity: undefined,
    },
    {
      of: [
        ["up", "fail"],
        ["down", "warn"],
      ],
      severity: "warn",
    },
    {
      of: [
        ["unknown", "fail"],
        ["down", "warn"],
      ],
      severity: undefined,
    },
  ] as const)("of $of it is $severity", ({ of, severity }) => {
    const group = of.map(([state, severity]) => target("services", "x", { state }, severity));
    expect(report(group)?.severity).toBe(severity);
  });
});
