import { expect, test } from "vitest";
import { composeHeartbeat } from "../src/compose.ts";
import { type Belief, unlooked, type WatchedTarget } from "../src/watch.ts";

const boot = { site: "tsd", bootId: "b", startedAtMs: 0, intervalMs: 60_000, detail: "code" as const };
const beat = { sequence: 1, sentAtMs: 10_000, uptimeMs: 10_000, cause: "interval" as const };

function target(section: WatchedTarget["section"], name: string, belief: Partial<Belief>): WatchedTarget {
  return {
    kind: section === "queues" ? "queue" : "service",
    name,
    section,
    probe: section === "hosts" ? "tcp" : "consumers",
    belief: { ...unlooked(0), reason: undefined, state: "up", ...belief },
  };
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
