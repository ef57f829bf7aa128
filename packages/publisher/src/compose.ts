import {
  type Cause,
  type ComponentReport,
  type Heartbeat,
  isWorse,
  type UpstreamEntry,
} from "@pipeline-heartbeat/shared/heartbeat.ts";
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
      .map(({ name, belief }) => ({ name, state: belief.state, observedAtMs: belief.observedAtMs }));
  return {
    ...identity,
    ...beat,
    hosts: section("hosts"),
    queues: section("queues"),
    services: section("services"),
    components: components(targets, detail),
  };
}

/** Whether two heartbeats of one boot tell the same states, each since the same time. */
export function hasSameStates(a: Heartbeat, b: Heartbeat): boolean {
  return a.components.every(({ state, sinceMs }, index) => {
    const other = b.components[index];
    return other?.state === state && other.sinceMs === sinceMs;
  });
}

function components(targets: readonly WatchedTarget[], detail: Detail): ComponentReport[] {
  const groups = Map.groupBy(targets, ({ kind, name }) => `${kind}:${name}`);
  return [...groups.values()].map((group) => report(worstOf(group), detail));
}

/**
 * A component that is watched in several places is as bad as the worst; of equals, the one of longest standing. It is up
 * since the last of them came up.
 */
function worstOf(group: readonly WatchedTarget[]): WatchedTarget {
  return group.reduce((worst, target) => {
    if (target.belief.state !== worst.belief.state) {
      return isWorse(target.belief.state, worst.belief.state) ? target : worst;
    }
    const isLonger = target.belief.sinceMs < worst.belief.sinceMs;
    return isLonger === (worst.belief.state !== "up") ? target : worst;
  });
}

function report({ kind, name, probe, belief }: WatchedTarget, detail: Detail): ComponentReport {
  const { state, sinceMs, observedAtMs } = belief;
  return {
    kind,
    name,
    probe,
    state,
    sinceMs,
    observedAtMs,
    ...(detail !== "none" && { reason: belief.reason, latencyMs: belief.latencyMs }),
    ...(detail === "text" && { detail: belief.detail?.slice(0, MAX_DETAIL_LENGTH).toWellFormed() }),
  };
}
