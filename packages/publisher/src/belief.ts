import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { Flapping, Policy } from "./policy.ts";
import type { Observation, Reason, Values } from "./probe.ts";

/** Timers may end this much too early. */
const EARLY_MS = 1;

/** The same moment by both clocks, in milliseconds: the wall's for who reads it, the other one for what has to pass. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

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
  readonly values: Values | undefined;
  /** Looks in a row that failed and count, the first of them, and the last by the monotonic clock. */
  readonly failedLooks: number;
  readonly failingSinceMs: number;
  readonly countedAtMs: number;
  /** Looks in a row that succeeded. */
  readonly succeededLooks: number;
  /** Whether the last looks succeeded, as far as changes are counted. */
  readonly recent: readonly boolean[];
  readonly isFlapping: boolean;
  /** What the last look that failed showed. */
  readonly lastFailure: Exclude<State, "up">;
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
    values: undefined,
    failedLooks: 0,
    failingSinceMs: nowMs,
    countedAtMs: -Infinity,
    succeededLooks: 0,
    recent: [],
    isFlapping: false,
    lastFailure: "unknown",
  };
}

/** Whether there are failed looks that are not believed yet. */
export function isInDoubt({ failedLooks }: Belief, { confirm }: Policy): boolean {
  return failedLooks > 0 && failedLooks < confirm.looks;
}

/**
 * What is believed after one more look. A failure is believed when it was seen in so many looks in a row, each at least
 * the pause after the one before, so that a redeployment is no alarm; until then the old state stands. What comes and
 * goes too often counts as failing even while it is up.
 */
export function believe(before: Belief, seen: Observation, now: Moment, policy: Policy): Belief {
  const after = counted(before, seen, now, policy);
  if (seen.state !== "up") return failed(before, after, seen, now, policy);
  const isOver = !wasBelieved(before) || after.succeededLooks >= policy.recover.looks;
  if (after.isFlapping) return flapping(before, after, seen, now, policy);
  // The old state stands, with what was seen of it.
  return isOver ? believed(before, after, seen, now.wallMs, now.wallMs) : { ...after };
}

/** The belief before, with the look counted in. */
function counted(before: Belief, { state }: Observation, now: Moment, policy: Policy): Belief {
  const isUp = state === "up";
  const recent = policy.flapping ? [...before.recent, isUp].slice(-policy.flapping.looks) : [];
  const isFlapping = policy.flapping !== undefined && isTooOften(recent, before.isFlapping, policy.flapping);
  const common = { ...before, recent, isFlapping };
  if (state === "up") {
    return { ...common, failedLooks: 0, succeededLooks: before.succeededLooks + 1 };
  }
  const isFirst = before.failedLooks === 0;
  const isAfterPause = now.monotonicMs - before.countedAtMs >= policy.confirm.pauseMs - EARLY_MS;
  const counts = isFirst || isAfterPause;
  return {
    ...common,
    succeededLooks: 0,
    lastFailure: state,
    failedLooks: before.failedLooks + (counts ? 1 : 0),
    failingSinceMs: isFirst ? now.wallMs : before.failingSinceMs,
    countedAtMs: counts ? now.monotonicMs : before.countedAtMs,
  };
}

/** With hysteresis: it takes fewer changes to stay so than to become so. */
function isTooOften(recent: readonly boolean[], isAlready: boolean, { changes, calm }: Flapping): boolean {
  const found = recent.filter((isUp, index) => index > 0 && isUp !== recent[index - 1]).length;
  return isAlready ? found > calm : found >= changes;
}

function failed(before: Belief, after: Belief, seen: Observation, now: Moment, { confirm }: Policy): Belief {
  if (after.failedLooks < confirm.looks) {
    return before.reason === "not_looked_yet" ? { ...after, reason: "unconfirmed" } : after;
  }
  return believed(before, after, seen, after.failingSinceMs, now.wallMs);
}

function flapping(before: Belief, after: Belief, seen: Observation, now: Moment, policy: Policy): Belief {
  const state = after.lastFailure;
  const detail = `changed too often in the last ${policy.flapping?.looks} looks`;
  const failing: Observation = { ...seen, state, reason: "flapping", detail };
  return believed(before, after, failing, now.wallMs, now.wallMs);
}

/** `beganMs` is when the state began, unless what was believed before was no better. */
function believed(before: Belief, after: Belief, seen: Observation, beganMs: number, nowMs: number): Belief {
  const { state, reason, detail, latencyMs, values } = seen;
  const isWorse = before.state === "up" && state !== "up";
  const changedMs = isWorse || state === "up" ? beganMs : nowMs;
  const sinceMs = state === before.state ? before.sinceMs : changedMs;
  return { ...after, state, sinceMs, observedAtMs: nowMs, reason, detail, latencyMs, values };
}

/** Whether the state is a failure that looks have shown, and not a want of looks. */
function wasBelieved({ state, reason }: Belief): boolean {
  return state !== "up" && !(reason && NEVER_SEEN.has(reason));
}

const NEVER_SEEN: ReadonlySet<Reason> = new Set(["not_looked_yet", "unconfirmed", "not_looked_lately"]);

/** Nobody has looked for so long that nothing is known any more. */
export function forget(before: Belief, nowMs: number): Belief {
  if (before.reason === "not_looked_lately") return before;
  const sinceMs = before.state === "unknown" ? before.sinceMs : nowMs;
  return {
    ...before,
    state: "unknown",
    sinceMs,
    reason: "not_looked_lately",
    detail: undefined,
    values: undefined,
  };
}
