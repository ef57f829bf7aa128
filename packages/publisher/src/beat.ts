import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";

/** Changes that come right after one another share a heartbeat. */
const LEAST_GAP_MS = 200;

export interface BeatOptions {
  readonly intervalMs: number;
  /** A heartbeat is due. */
  readonly onDue: (cause: "interval" | "change") => void;
  readonly log: Logger;
}

export interface Beats {
  /** A state changed: a heartbeat is due at once. */
  changed(): void;
}

/** Tells when a heartbeat is due: now, at every interval and at every change, until the signal is aborted. */
export function startBeats({ intervalMs, onDue, log }: BeatOptions, stopping: AbortSignal): Beats {
  let hasChanged = false;
  let bell = new AbortController();

  /** Returns early when the bell was rung meanwhile, or had been rung before. */
  async function waitForBell(ms: number): Promise<void> {
    const signal = AbortSignal.any([stopping, bell.signal]);
    await sleep(Math.max(0, ms), undefined, { signal }).catch(() => {}); // rung, or stopping
    bell = new AbortController();
  }

  function beat(): void {
    const cause = hasChanged ? "change" : "interval";
    hasChanged = false;
    try {
      onDue(cause);
    } catch (error) {
      log.error({ err: error }, "heartbeat failed");
    }
  }

  async function run(): Promise<void> {
    let dueMs = performance.now();
    while (!stopping.aborted) {
      beat();
      dueMs = nextDueMs(dueMs, performance.now(), intervalMs);
      await sleep(LEAST_GAP_MS, undefined, { signal: stopping }).catch(() => {}); // the loop ends
      await waitForBell(dueMs - performance.now());
    }
  }

  void run();
  return {
    changed() {
      hasChanged = true;
      bell.abort();
    },
  };
}

/** Keeps to the grid of the first heartbeat; intervals that were missed, as when the machine slept, are not made up. */
export function nextDueMs(dueMs: number, nowMs: number, intervalMs: number): number {
  return nowMs < dueMs ? dueMs : dueMs + (Math.floor((nowMs - dueMs) / intervalMs) + 1) * intervalMs;
}
