import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import type { SiteRecord } from "./site-record.ts";

/** How many of the last times between heartbeats are kept, and of how many on they tell anything. */
const MAX_GAPS = 5;
const LEAST_GAPS = 2;
/** As long as an announced interval may be. */
const MOST_GAP_MS = 86_400_000;
/** Gaps that differ by less than this part are the same. */
const GAP_TOLERANCE = 0.25;

/** Only live heartbeats tell how often they come; a clock that was set does not. */
export function gapsAfter(
  before: SiteRecord | undefined,
  { bootId, sequence }: ReceivedHeartbeat,
  isLive: boolean,
): number[] {
  const gaps = before?.gapsMs ?? [];
  const gapMs = before?.bootId === bootId && isLive ? sequence - before.sequence : 0;
  return gapMs > 0 && gapMs <= MOST_GAP_MS ? [...gaps, gapMs].slice(-MAX_GAPS) : gaps;
}

/** The median, of two the smaller, where most gaps are about as long: pauses are not taken for the interval. */
export function usualGapMs(gapsMs: readonly number[]): number {
  if (gapsMs.length < LEAST_GAPS) return 0;
  const medianMs = gapsMs.toSorted((a, b) => a - b)[Math.floor((gapsMs.length - 1) / 2)] ?? 0;
  const alike = gapsMs.filter((gapMs) => Math.abs(gapMs - medianMs) <= GAP_TOLERANCE * medianMs);
  return alike.length * 2 > gapsMs.length ? medianMs : 0;
}
