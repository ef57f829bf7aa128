import { setTimeout as sleep } from "node:timers/promises";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import type { Logger } from "pino";

/** Changes that come right after one another share a heartbeat. */
const LEAST_GAP_MS = 200;
/** A heartbeat that was refused or not confirmed is sent again; without a connection this costs nothing. */
const RETRY_MS = 2_000;

export interface BeatOptions {
  readonly intervalMs: number;
  /** Whether the broker is there; while it is not, that is told elsewhere. */
  readonly canSend: () => boolean;
  /** Composes the state of this moment and sends it; rejects when it was not confirmed. */
  readonly send: (cause: "interval" | "change") => Promise<void>;
  readonly log: Logger;
}

export interface Beats {
  /** A state changed: a heartbeat goes out at once. */
  changed(): void;
  /** The broker is there again: what could not be sent is sent. */
  connected(): void;
}

/**
 * Sends a heartbeat now, at every interval and at every change, until the signal is aborted. What failed is owed: it is
 * tried again, with the state of then, so that the newest state is always the next to arrive.
 */
export function startBeats({ intervalMs, canSend, send, log }: BeatOptions, stopping: AbortSignal): Beats {
  const outage = outageLog("publishing", log);
  let hasChanged = false;
  let bell = new AbortController();

  async function trySend(): Promise<boolean> {
    if (!canSend()) return false;
    const cause = hasChanged ? "change" : "interval";
    hasChanged = false;
    try {
      await send(cause);
      outage.recovered();
      return true;
    } catch (error) {
      hasChanged ||= cause === "change";
      outage.failed(errorText(error));
      return false;
    }
  }

  /** Returns early when the bell was rung meanwhile, or had been rung before. */
  async function waitForBell(ms: number): Promise<void> {
    const signal = AbortSignal.any([stopping, bell.signal]);
    await sleep(Math.max(0, ms), undefined, { signal }).catch(() => {}); // rung, or stopping
    bell = new AbortController();
  }

  async function run(): Promise<void> {
    let dueMs = performance.now();
    while (!stopping.aborted) {
      const isSent = await trySend();
      if (isSent) dueMs = nextDueMs(dueMs, performance.now(), intervalMs);
      await sleep(LEAST_GAP_MS, undefined, { signal: stopping }).catch(() => {}); // the loop ends
      await waitForBell(isSent ? dueMs - performance.now() : RETRY_MS);
    }
  }

  void run();
  return {
    changed() {
      hasChanged = true;
      bell.abort();
    },
    connected: () => bell.abort(),
  };
}

/** Keeps to the grid of the first heartbeat; intervals that were missed, as when the machine slept, are not made up. */
export function nextDueMs(dueMs: number, nowMs: number, intervalMs: number): number {
  return nowMs < dueMs ? dueMs : dueMs + (Math.floor((nowMs - dueMs) / intervalMs) + 1) * intervalMs;
}
