import { CLOCK_TOLERANCE_MS } from "./passing-time.ts";

/** Less is what two readings of clocks differ by on a busy machine. */
const LEAST_STEP_MS = 1_000;

/** When our own clock was set, as far as that was noticed, by the clock after it was set; 0 when never. */
export interface OwnClock {
  setAtMs(): number;
  /** Back, by so much that it matters. */
  setBackAtMs(): number;
}

/** Notices when our own clock is set, by comparing it with one that only runs, whenever it is asked. */
export function ownClock(now: () => number, monotonicNow: () => number): OwnClock {
  let differenceMs = now() - monotonicNow();
  let setAtMs = 0;
  let setBackAtMs = 0;

  function look(): void {
    const stepMs = now() - monotonicNow() - differenceMs;
    differenceMs += stepMs;
    if (Math.abs(stepMs) > LEAST_STEP_MS) setAtMs = now();
    if (stepMs < -CLOCK_TOLERANCE_MS) setBackAtMs = now();
  }

  return {
    setAtMs() {
      look();
      return setAtMs;
    },
    setBackAtMs() {
      look();
      return setBackAtMs;
    },
  };
}
