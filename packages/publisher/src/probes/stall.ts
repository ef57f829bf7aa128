/** What one look saw of a queue in which messages wait while consumers are attached. */
export interface Waiting {
  readonly messages: number;
  /** How many messages were ever taken for good; undefined when nothing is counted. */
  readonly taken: number | undefined;
  /** Whether all consumers are of those whose acknowledgements are counted. */
  readonly isCounted: boolean;
}

/** What is remembered from look to look. Times are of a clock that never jumps, in milliseconds. */
export interface StallClock {
  /** The last sign that messages are taken, or the moment from which on they wait. */
  readonly sinceMs: number;
  /** Since when `taken` is known, and the same. */
  readonly countedSinceMs: number | undefined;
  readonly taken: number | undefined;
  readonly messages: number;
  readonly isCounted: boolean;
}

/** `unknown`: for too long there was no sign of progress, but it would not have been seen. */
export type Progress = "fine" | "stalled" | "unknown";

/** A clock for messages that wait since `sinceMs`, during which nothing was taken. */
export function startClock(seen: Waiting, sinceMs: number): StallClock {
  return { ...seen, sinceMs, countedSinceMs: seen.taken === undefined ? undefined : sinceMs };
}

/**
 * After another look. Only what is acknowledged is progress: a worker that takes and never acknowledges is stalled, and one
 * that puts back, or refuses, all that it takes. That there are fewer messages is progress only where nothing is counted:
 * they may have expired. A smaller count is that of a restarted broker, which tells nothing of the time before.
 */
export function nextClock(before: StallClock, seen: Waiting, nowMs: number): StallClock {
  const isCountChanged =
    before.taken !== undefined && seen.taken !== undefined && seen.taken !== before.taken;
  const isUncounted = before.taken === undefined || seen.taken === undefined || !seen.isCounted;
  if (isCountChanged || (isUncounted && seen.messages < before.messages)) return startClock(seen, nowMs);
  return {
    sinceMs: before.sinceMs,
    // A count that is missing for a while is the same afterwards only when nothing was taken meanwhile.
    taken: seen.taken ?? before.taken,
    countedSinceMs: before.countedSinceMs ?? (seen.taken === undefined ? undefined : nowMs),
    messages: seen.messages,
    isCounted: seen.isCounted,
  };
}

/** For how long nothing was taken, as far as that is known; undefined where it would not have been seen. */
export function stoodStillForMs(clock: StallClock, nowMs: number): number | undefined {
  if (!clock.isCounted || clock.countedSinceMs === undefined) return undefined;
  return nowMs - clock.countedSinceMs;
}

export function progressOf(clock: StallClock, nowMs: number, stalledAfterMs: number): Progress {
  if (nowMs - clock.sinceMs < stalledAfterMs) return "fine";
  return (stoodStillForMs(clock, nowMs) ?? 0) < stalledAfterMs ? "unknown" : "stalled";
}
