/** Less is what two readings of clocks differ by on a busy machine. */
const LEAST_STEP_MS = 1_000;

/**
 * Notices when our own clock is set, by comparing it with one that only runs.
 * @returns a function that tells when that was last noticed (by the clock after it was set), 0 when never
 */
export function ownClock(now: () => number, monotonicNow: () => number): () => number {
  let differenceMs = now() - monotonicNow();
  let setAtMs = 0;
  return () => {
    const before = differenceMs;
    differenceMs = now() - monotonicNow();
    if (Math.abs(differenceMs - before) > LEAST_STEP_MS) setAtMs = now();
    return setAtMs;
  };
}
