import { type ApplyRules, applyHeartbeat, type Outcome } from "./apply.ts";
import { siteEvents, type StateEvent } from "./events.ts";
import type { TakenIn } from "./facts.ts";
import type { Received } from "./judge.ts";
import { isReplay } from "./order.ts";
import { rejection } from "./rejection.ts";
import type { SiteRecord } from "./site-record.ts";
import type { Rejected, Stored } from "./store.ts";

export interface Folded {
  /** The record after all of them; undefined while nothing counted. */
  readonly record: SiteRecord | undefined;
  /** What became of each. */
  readonly outcomes: readonly (Outcome | "forgotten")[];
  /** What changed of the site as a whole. */
  readonly events: readonly StateEvent[];
  /** Those that tell something. */
  readonly taken: readonly TakenIn[];
}

/** Each tells of every component that it lacks: with thousands of them, fifty boots at once would fill the memory. */
const MAX_BOOTS_AT_ONCE = 8;

/** Heartbeats in order, in as many parts as it takes for each to have few boots. */
export function ofFewBoots(received: readonly Received[]): Received[][] {
  const parts: Received[][] = [];
  let boots = new Set<string>();
  for (const one of received) {
    const { bootId } = one.heartbeat;
    if (boots.size === 0 || (!boots.has(bootId) && boots.size >= MAX_BOOTS_AT_ONCE)) {
      parts.push([]);
      boots = new Set();
    }
    boots.add(bootId);
    parts.at(-1)?.push(one);
  }
  return parts;
}

/** Heartbeats that are quarantined, and why. */
export type Refusals = ReadonlyMap<Received, Rejected>;

/** Applies heartbeats of one site, one after the other. */
export function fold(
  before: Stored,
  site: string,
  received: readonly Received[],
  { rules, setAtMs }: { rules: ApplyRules; setAtMs: number },
): Folded {
  let { record } = before;
  const outcomes: (Outcome | "forgotten")[] = [];
  const events: StateEvent[] = [];
  const taken: TakenIn[] = [];
  for (const { heartbeat, delivery } of received) {
    const applied = applyHeartbeat(record, heartbeat, site, { ...delivery, clockSetAtMs: setAtMs }, rules);
    if (!record && isForgotten(before, delivery.hasWaited, applied.record)) {
      outcomes.push("forgotten");
      continue;
    }
    const isApplied = applied.outcome === "applied";
    if (isApplied && applied.record) events.push(...siteEvents(record, applied.record));
    // In format 1 only what counts tells anything.
    if (isApplied || (heartbeat.format === 2 && applied.outcome !== "duplicate")) {
      taken.push({ heartbeat, before: record, after: applied.record, isApplied });
    }
    record = applied.record;
    outcomes.push(applied.outcome);
  }
  return { record, outcomes, events, taken };
}

/** A message from before the site was forgotten does not bring it back. One that came at once is no such message. */
function isForgotten({ forgottenAtMs }: Stored, hasWaited: boolean, after: SiteRecord | undefined): boolean {
  // Back-fill alone gives no record, and brings back none.
  if (!after) return forgottenAtMs !== undefined;
  return hasWaited && after.freshAtMs <= (forgottenAtMs ?? 0);
}

/**
 * Heartbeats that were taken in before, by what was stored when they came, though nobody had reason to send or deliver
 * them twice. They change nothing.
 */
export function replaysAmong(received: readonly Received[], { record }: Stored): Refusals {
  const inBatch = new Set<string>();
  const replays = new Map<Received, Rejected>();
  for (const one of received) {
    const { heartbeat, delivery } = one;
    const { format, bootId, sequence, sentAtMs, cause } = heartbeat;
    const key = JSON.stringify([bootId, sequence, sentAtMs]);
    const isSecond = isReplay(record, heartbeat) || inBatch.has(key);
    if (format === 2) inBatch.add(key);
    // A publisher that got no confirm sends its back-fill again; a broker says what it delivers again.
    if (!isSecond || cause === "backfill" || delivery.isRedelivered) continue;
    replays.set(one, rejection("replayed", "this heartbeat was taken in before", delivery));
  }
  return replays;
}
