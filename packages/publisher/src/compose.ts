import {
  type Cause,
  type ComponentReport,
  type Heartbeat,
  isWorse,
  type UpstreamEntry,
} from "@pipeline-heartbeat/shared/heartbeat.ts";
import { componentKey } from "./dependencies.ts";
import type { WatchedTarget } from "./watch.ts";

/** What leaves the site about a component beside its name and state: nothing, reason and latency, the error's words too. */
export type Detail = "none" | "code" | "text";

/** Of the error's words. Whoever receives them takes no more than 1000 characters, and whole letters only. */
const MAX_DETAIL_LENGTH = 250;

/** One run of this publisher. */
export interface Boot {
  readonly site: string;
  readonly bootId: string;
  readonly startedAtMs: number;
  readonly intervalMs: number;
  readonly detail: Detail;
}

/** This one heartbeat. */
export interface Beat {
  readonly sequence: number;
  readonly sentAtMs: number;
  readonly uptimeMs: number;
  readonly cause: Cause;
}

/** The full set of states, once as upstream lists it and once with each component's worst state. */
export function composeHeartbeat(boot: Boot, beat: Beat, targets: readonly WatchedTarget[]): Heartbeat {
  const { detail, ...identity } = boot;
  const section = (wanted: WatchedTarget["section"]): UpstreamEntry[] =>
    targets
      .filter((target) => target.section === wanted)
      .map(({ name, state, observedAtMs }) => ({ name, state, observedAtMs }));
  return {
    ...identity,
    ...beat,
    hosts: section("hosts"),
    queues: section("queues"),
    services: section("services"),
    components: components(targets, detail),
  };
}

/** Whether two heartbeats of one boot tell the same states of the same components, each since the same time. */
export function hasSameStates({ components: a }: Heartbeat, { components: b }: Heartbeat): boolean {
  if (a.length !== b.length) return false;
  return a.every(({ kind, name, state, sinceMs }, index) => {
    const other = b[index];
    return other?.kind === kind && other.name === name && other.state === state && other.sinceMs === sinceMs;
  });
}

function components(targets: readonly WatchedTarget[], detail: Detail): ComponentReport[] {
  const groups = Map.groupBy(targets, componentKey);
  return [...groups.values()].map((group) => report(group, worstOf(group), detail));
}

/**
 * A component that is watched in several places is as bad as the worst; of equals, the one of longest standing. It is up
 * since the last of them came up.
 */
function worstOf(group: readonly WatchedTarget[]): WatchedTarget {
  return group.reduce((worst, target) => {
    if (target.state !== worst.state) return isWorse(target.state, worst.state) ? target : worst;
    const isLonger = target.sinceMs < worst.sinceMs;
    return isLonger === (worst.state !== "up") ? target : worst;
  });
}

function report(group: readonly WatchedTarget[], worst: WatchedTarget, detail: Detail): ComponentReport {
  const { kind, name, probe, state, sinceMs, observedAtMs } = worst;
  const { because } = group.find((target) => target.state === state && target.because) ?? worst;
  const values = Object.assign({}, ...group.map(({ values }) => values));
  return {
    kind,
    name,
    probe,
    state,
    ...(isWarning(group) && { severity: "warn" }),
    sinceMs,
    observedAtMs,
    // Without it a failure behind a parent that only warns would look like something that nobody could look at.
    because: because && componentKey(because),
    ...(detail !== "none" && {
      reason: worst.reason,
      latencyMs: worst.latencyMs,
      values: Object.keys(values).length > 0 ? values : undefined,
    }),
    ...(detail === "text" && { detail: worst.detail?.slice(0, MAX_DETAIL_LENGTH).toWellFormed() }),
  };
}

/** Whether nothing that is amiss, or could be, is a failure. */
function isWarning(group: readonly WatchedTarget[]): boolean {
  const amiss = group.filter(({ state }) => state !== "up");
  return (amiss.length > 0 ? amiss : group).every(({ policy }) => policy.severity === "warn");
}
