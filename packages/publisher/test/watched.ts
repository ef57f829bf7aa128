import { unlooked } from "../src/belief.ts";
import type { Policy } from "../src/policy.ts";
import { policyOf } from "../src/policy-options.ts";
import type { Target } from "../src/probe.ts";
import { ofBelief, type Standing } from "../src/standing.ts";
import type { WatchedTarget } from "../src/watch.ts";

export const BASE = {
  intervalMs: 10_000,
  timeoutMs: 5_000,
  longestIntervalMs: Infinity,
  consumersAsk: "broker",
} as const;

/** The policy of a file that says nothing of it, for what is asked itself. */
export const POLICY: Policy = policyOf([], {}, BASE, "component", []);

export function targetOf(target: Partial<Target> = {}): Target {
  return {
    kind: "service",
    name: "db",
    section: "hosts",
    probe: "tcp",
    subject: "db:5432",
    policy: POLICY,
    ...target,
  };
}

/** A target that is up, unless something else is said of how it stands. */
export function watchedTarget(target: Partial<Target>, standing: Partial<Standing> = {}): WatchedTarget {
  const up = { ...ofBelief(unlooked(0)), state: "up" as const, reason: undefined };
  return { ...targetOf(target), ...up, ...standing };
}
