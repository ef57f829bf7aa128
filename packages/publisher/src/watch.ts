import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import pLimit from "p-limit";
import type { Logger } from "pino";
import type { Observation, Probe, Reason, Target } from "./probe.ts";

/** How many looks in a row must fail before it is believed; a success counts at once. */
const LOOKS_TO_BELIEVE_FAILURE = 2;

/** What is believed of one target. Times are unix milliseconds. */
export interface Belief {
  readonly state: State;
  /** When the state began: for a failure, the first look that showed it. */
  readonly sinceMs: number;
  /** The last look that agreed with the state. */
  readonly observedAtMs: number;
  readonly reason: Reason | undefined;
  readonly detail: string | undefined;
  readonly latencyMs: number | undefined;
  /** Looks in a row that failed, and when the first of them was. */
  readonly failedLooks: number;
  readonly failingSinceMs: number;
}

/** Before the first look nothing is known. */
export function unlooked(nowMs: number): Belief {
  return {
    state: "unknown",
    sinceMs: nowMs,
    observedAtMs: nowMs,
    reason: "not_looked_yet",
    detail: undefined,
    latencyMs: undefined,
    failedLooks: 0,
    failingSinceMs: nowMs,
  };
}

/** A failure is believed at the second look, so that a redeployment is no alarm; until then the old state stands. */
export function believe(before: Belief, seen: Observation, nowMs: number): Belief {
  const { state, reason, detail, latencyMs } = seen;
  const failedLooks = state === "up" ? 0 : before.failedLooks + 1;
  const failingSinceMs = failedLooks <= 1 ? nowMs : before.failingSinceMs;
  if (state !== "up" && failedLooks < LOOKS_TO_BELIEVE_FAILURE) {
    const isKnown = before.reason !== "not_looked_yet";
    return { ...before, reason: isKnown ? before.reason : "unconfirmed", failedLooks, failingSinceMs };
  }
  const beganMs = state === "up" || before.state !== "up" ? nowMs : failingSinceMs;
  const sinceMs = state === before.state ? before.sinceMs : beganMs;
  return { state, sinceMs, observedAtMs: nowMs, reason, detail, latencyMs, failedLooks, failingSinceMs };
}

export interface WatchedTarget extends Target {
  readonly belief: Belief;
}

export interface WatchOptions {
  readonly probes: readonly Probe[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** How many probes look at the same time. */
  readonly concurrency: number;
  readonly now: () => number;
  /** Rejects when the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
  /** Called after a look that changed the state of a target. */
  readonly onChange: () => void;
}

export interface Watch {
  /** All targets, in the order of the probes. */
  targets(): WatchedTarget[];
  /** Resolves when every probe has looked once. */
  readonly firstLook: Promise<void>;
}

/** Looks at everything again and again until the signal is aborted. Every probe keeps its own time. */
export function startWatch(options: WatchOptions, stopping: AbortSignal): Watch {
  const { probes, intervalMs, now, sleep } = options;
  const watched = probes.map((probe) => probe.targets.map((target) => ({ target, belief: unlooked(now()) })));
  const limit = pLimit(options.concurrency);

  async function lookOnce(probe: Probe, entries: { target: Target; belief: Belief }[]): Promise<void> {
    const observations = await limit(() =>
      probe.look(AbortSignal.any([stopping, AbortSignal.timeout(options.timeoutMs)])),
    );
    // A look that was cut off by our own stop saw nothing.
    if (stopping.aborted) return;
    const nowMs = now();
    let hasChanged = false;
    for (const [index, entry] of entries.entries()) {
      const seen = observations[index] ?? { state: "unknown" as const };
      const before = entry.belief;
      entry.belief = believe(before, seen, nowMs);
      hasChanged ||= entry.belief.state !== before.state;
      logChange(options.log, entry.target, before, entry.belief);
    }
    if (hasChanged) options.onChange();
  }

  async function watchOne(probe: Probe, index: number, first: () => void): Promise<void> {
    const entries = watched[index] ?? [];
    for (;;) {
      const startedMs = performance.now();
      await lookOnce(probe, entries);
      first();
      const isDoubtful = entries.some(({ belief }) => belief.failedLooks === 1);
      if (isDoubtful && probe.confirmAfterMs !== undefined && probe.confirmAfterMs < intervalMs) {
        await sleep(probe.confirmAfterMs, stopping);
        await lookOnce(probe, entries);
      }
      await sleep(Math.max(0, intervalMs - (performance.now() - startedMs)), stopping);
    }
  }

  const firsts = probes.map((probe, index) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    watchOne(probe, index, resolve).catch((error: unknown) => {
      if (!stopping.aborted) throw error;
    });
    return promise;
  });

  return {
    targets: () => watched.flat().map(({ target, belief }) => ({ ...target, belief })),
    firstLook: Promise.all(firsts).then(() => {}),
  };
}

function logChange(log: Logger, { kind, name }: Target, before: Belief, after: Belief): void {
  if (before.state === after.state) return;
  const { state, reason, detail } = after;
  log.info({ kind, component: name, from: before.state, to: state, reason, detail }, "component changed");
}
