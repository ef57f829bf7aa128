import { setTimeout as sleep } from "node:timers/promises";
import type { Outage } from "@pipeline-heartbeat/shared/outage.ts";
import type { Logger } from "pino";
import { applySilence } from "./apply.ts";
import type { Memory } from "./remember.ts";
import type { Store } from "./store.ts";

/** Silence is written within a second of its deadline. */
const SWEEP_EVERY_MS = 400;

export interface SweepOptions {
  readonly store: Store;
  readonly memory: Memory;
  readonly expectedSites: readonly string[];
  readonly now: () => number;
  readonly log: Logger;
  readonly outage: Outage;
  /** Whether something else still finds the store away. */
  readonly isHolding: () => boolean;
}

/** Writes what becomes true by the mere passing of time, for a reader that cannot compute. Until the signal is aborted. */
export async function runSweep(options: SweepOptions, stopping: AbortSignal): Promise<void> {
  const { outage, isHolding } = options;
  for (;;) {
    await sleep(SWEEP_EVERY_MS, undefined, { signal: stopping }).catch(() => {}); // the loop ends
    if (stopping.aborted) return;
    try {
      await sweepOnce(options);
      if (!isHolding()) outage.recovered();
    } catch (error) {
      outage.failed(error instanceof Error ? error.message : String(error));
    }
  }
}

/** One pass. Safe beside the passes of other subscribers: whoever commits first writes the silence, once. */
export async function sweepOnce({ store, memory, expectedSites, now, log }: SweepOptions): Promise<void> {
  const nowMs = now();
  const restored = await memory.keepStore();
  if (restored.length > 0) log.warn({ sites: restored.length }, "redis had lost its data: written again");
  await store.tellUnknownSites(expectedSites, nowMs);
  for (const site of await store.due(nowMs)) {
    const before = await store.load(site);
    const { record } = before;
    if (!record || record.sweepAtMs >= nowMs) continue;
    const result = await store.commit(before, applySilence(record, nowMs));
    if (result === "committed" && !record.isSilenceWritten) {
      log.info({ site, deadlineMs: record.deadlineMs }, "site is silent");
    }
  }
}
