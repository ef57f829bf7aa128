import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import pLimit from "p-limit";
import type { Logger } from "pino";
import type { Observation, Probe, Reason, Target } from "./probe.ts";

/** A look that has not ended so long after its time-out does not listen to its signal. */
const OVERTIME_MS = 1_000;
/** So many intervals without a look, and nothing is known of the target any more. */
const MAX_MISSED_LOOKS = 3;

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

function forget(before: Belief, nowMs: number): Belief {
  const sinceMs = before.state === "unknown" ? before.sinceMs : nowMs;
  return { ...before, state: "unknown", sinceMs, reason: "not_looked_lately" };
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
  const { probes, intervalMs, now } = options;
  const watched = probes.map((probe) => ({
    probe,
    lookedAtMs: performance.now(),
    entries: probe.targets.map((target) => ({ target, belief: unlooked(now()) })),
  }));
  const limit = pLimit(options.concurrency);

  async function lookOnce(looked: Watched): Promise<void> {
    const observations = await limit(() => inTime(looked.probe, options.timeoutMs, stopping));
    // A look that was cut off by our own stop saw nothing.
    if (stopping.aborted) return;
    looked.lookedAtMs = performance.now();
    const nowMs = now();
    let hasChanged = false;
    for (const [index, entry] of looked.entries.entries()) {
      const before = entry.belief;
      const seen = observations[index] ?? { state: "unknown" };
      entry.belief = believe(before, seen, nowMs);
      hasChanged ||= entry.belief.state !== before.state;
      logChange(options.log, entry.target, before, entry.belief);
      if (entry.belief.failedLooks === 1) logDoubt(options.log, entry.target, seen);
    }
    if (hasChanged) options.onChange();
  }

  async function watchOne(looked: Watched, first: () => void): Promise<void> {
    const { probe } = looked;
    for (;;) {
      const startedMs = performance.now();
      await lookOnce(looked);
      first();
      const isDoubtful = looked.entries.some(({ belief }) => belief.failedLooks === 1);
      if (isDoubtful && probe.confirmAfterMs !== undefined && probe.confirmAfterMs < intervalMs) {
        await options.sleep(probe.confirmAfterMs, stopping);
        await lookOnce(looked);
      }
      await options.sleep(Math.max(0, intervalMs - (performance.now() - startedMs)), stopping);
    }
  }

  const firsts = watched.map((looked) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    watchOne(looked, resolve).catch((error: unknown) => {
      if (!stopping.aborted) throw error;
    });
    return promise;
  });

  /** A state that nobody has looked at for long is no longer known, whatever kept the probe from looking. */
  function known({ lookedAtMs, entries }: Watched): WatchedTarget[] {
    const isForgotten = performance.now() - lookedAtMs > MAX_MISSED_LOOKS * (intervalMs + options.timeoutMs);
    return entries.map((entry) => {
      if (isForgotten) entry.belief = forget(entry.belief, now());
      return { ...entry.target, belief: entry.belief };
    });
  }

  return {
    targets: () => watched.flatMap(known),
    firstLook: Promise.all(firsts).then(() => {}),
  };
}

interface Watched {
  readonly probe: Probe;
  /** The monotonic clock at the end of the last look. */
  lookedAtMs: number;
  readonly entries: { readonly target: Target; belief: Belief }[];
}

/** The look's observations, or `unknown` for all when it goes on after its time is over. */
async function inTime(
  probe: Probe,
  timeoutMs: number,
  stopping: AbortSignal,
): Promise<readonly Observation[]> {
  // One controller and two timers that are cleared: signals that time out by themselves pile up until they do.
  const deadline = new AbortController();
  const abort = () => deadline.abort();
  const { promise: overtime, resolve: giveUp } = Promise.withResolvers<undefined>();
  const timers = [setTimeout(abort, timeoutMs), setTimeout(giveUp, timeoutMs + OVERTIME_MS, undefined)];
  stopping.addEventListener("abort", abort);
  try {
    const seen = await Promise.race([probe.look(deadline.signal), overtime]);
    return seen ?? probe.targets.map(() => ({ state: "unknown", reason: "timeout" }));
  } finally {
    for (const timer of timers) clearTimeout(timer);
    stopping.removeEventListener("abort", abort);
    // What the look left under way, as a second request beside one that failed, must not go on for ever.
    abort();
  }
}

function logChange(log: Logger, { kind, name }: Target, before: Belief, after: Belief): void {
  if (before.state === after.state) return;
  const { state, reason, detail } = after;
  log.info({ kind, component: name, from: before.state, to: state, reason, detail }, "component changed");
}

function logDoubt(log: Logger, { kind, name }: Target, { state, reason, detail }: Observation): void {
  log.debug({ kind, component: name, seen: state, reason, detail }, "failure not believed yet");
}
