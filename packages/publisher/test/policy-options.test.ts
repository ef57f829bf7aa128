import { expect, test } from "vitest";
import { policyOf } from "../src/policy-options.ts";
import { BASE } from "./watched.ts";

const policy = (own: Parameters<typeof policyOf>[0], defaults: Parameters<typeof policyOf>[1] = {}) =>
  policyOf(own, defaults, BASE, "component", []);

test("where the file says nothing, the environment and these are in force", () => {
  expect(policy([])).toEqual({
    intervalMs: 10_000,
    timeoutMs: 5_000,
    splayMs: 10_000,
    confirm: { looks: 2, pauseMs: 1_000 },
    recover: { looks: 1 },
    flapping: { changes: 10, looks: 20, calm: 4 },
    severity: "fail",
    dependsOn: [],
  });
});

test("the nearest word counts, each part by itself", () => {
  const defaults = { interval: 30_000, confirm: { looks: 5, pause: 3_000 }, severity: "warn" } as const;
  const queue = { timeout: 100, confirm: { looks: 4 } };
  expect(policy([{ confirm: { pause: 2_000 } }, queue], defaults)).toMatchObject({
    intervalMs: 30_000,
    timeoutMs: 100,
    confirm: { looks: 4, pauseMs: 2_000 },
    severity: "warn",
  });
});

test("flapping can be switched off by either, and on again", () => {
  const some = { changes: 4, looks: 8, calm: 1 };
  expect(policy([], { flapping: false }).flapping).toBeUndefined();
  expect(policy([{ flapping: some }], { flapping: false }).flapping).toEqual(some);
});

test("what only statistics tell is looked at again after longer than they lag, unless it says so itself", () => {
  const pauseMs = (own: number | undefined, ofAll: number | undefined, intervalMs = 10_000) =>
    policyOf(
      [{ confirm: { pause: own } }],
      { confirm: { pause: ofAll } },
      { ...BASE, intervalMs },
      "broker",
      [],
    ).confirm.pauseMs;
  expect([pauseMs(undefined, 2_000), pauseMs(undefined, 12_000)]).toEqual([6_000, 12_000]);
  expect(pauseMs(500, undefined)).toBe(500);
  // Longer than a worker takes to be deployed anew, unless it is looked at more often than that.
  expect([1_000, 8_000, 10_000, 60_000].map((ms) => pauseMs(undefined, undefined, ms))).toEqual([
    6_000, 7_000, 9_000, 9_000,
  ]);
});

test("what is counted has no statistics that lag, but a worker takes its time to come back", () => {
  const pauseMs = (intervalMs: number) =>
    policyOf([], {}, { ...BASE, intervalMs }, "passive", []).confirm.pauseMs;
  expect([pauseMs(1_000), pauseMs(10_000)]).toEqual([1_000, 6_000]);
});

test("the splay is no longer than the interval, and the interval no longer than may be", () => {
  expect(policy([{ interval: 5_000, splay: 60_000 }]).splayMs).toBe(5_000);
  const capped = policyOf(
    [{ interval: 90_000 }],
    {},
    { ...BASE, longestIntervalMs: 60_000 },
    "component",
    [],
  );
  expect(capped).toMatchObject({ intervalMs: 60_000, splayMs: 60_000 });
});
