import type { SiteRecord } from "./site-record.ts";

/** How often the silence of a site is written again: somebody may have deleted what the reader reads. */
const SILENCE_AGAIN_MS = 60_000;

/** The site's record once its deadline has passed: the silence counts as a failure of everything in it. Idempotent. */
export function applySilence(record: SiteRecord, nowMs: number): SiteRecord {
  return {
    ...record,
    sweepAtMs: nowMs + SILENCE_AGAIN_MS,
    isSilenceWritten: true,
    components: record.components.map((component) => ({ ...component, lastFailedMs: record.deadlineMs })),
  };
}

/** Later than so much ago by our clock, and it was another clock, or ours has been set since. */
export const CLOCK_TOLERANCE_MS = 10_000;

/** Whether a record claims to have been received at a time to come: how old its news is cannot be told then. */
export function isFromTheFuture({ receivedAtMs }: SiteRecord, nowMs: number): boolean {
  return receivedAtMs > nowMs + CLOCK_TOLERANCE_MS;
}

/** Such a record, with what it may still claim: nothing, until the next heartbeat. */
export function withoutFuture(record: SiteRecord, nowMs: number): SiteRecord {
  const freshAtMs = Math.min(record.freshAtMs, nowMs);
  const pastMs = nowMs - 1;
  return {
    ...record,
    receivedAtMs: nowMs,
    firstHeardAtMs: Math.min(record.firstHeardAtMs, nowMs),
    freshAtMs,
    surelyFreshAtMs: 0,
    deadlineMs: pastMs,
    sweepAtMs: pastMs,
    newestSentAtMs: Math.min(record.newestSentAtMs, nowMs),
    clock: { anchor: record.clock.anchor },
  };
}
