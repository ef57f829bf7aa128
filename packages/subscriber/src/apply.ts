import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import type { ComponentReport } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { bootsAfter, hearOther, isContested, isTakenIn, judgeOrder, type Order, takeIn } from "./order.ts";
import {
  type Arrival,
  learn,
  type Learned,
  newBootClock,
  type SenderClock,
  sentAtByOurClock,
} from "./sender-clock.ts";
import type { ComponentRecord, SiteRecord } from "./site-record.ts";
import { gapsAfter, usualGapMs } from "./usual-gap.ts";

export interface ApplyRules {
  /** The least that is assumed for heartbeats that announce none. */
  readonly expectedIntervalMs: number;
  /** A site is silent when its news is older than this times its interval. */
  readonly silenceFactor: number;
}

/** How a heartbeat came. */
export interface Receipt {
  /** The receiver's clock. */
  readonly receivedAtMs: number;
  /** Whether it may have waited in the queue for us. */
  readonly hasWaited: boolean;
  /** When the receiver's clock was last set: what was learned of other clocks before is void. */
  readonly clockSetAtMs: number;
}

export type Outcome = "applied" | Exclude<Order, "next" | "successor" | "takeover"> | "backfill";

export interface Applied {
  readonly outcome: Outcome;
  /** Absent only while nothing has been accepted for the site; also one that does not count may leave its mark. */
  readonly record: SiteRecord | undefined;
}

/** The site's record after a heartbeat. */
export function applyHeartbeat(
  before: SiteRecord | undefined,
  heartbeat: ReceivedHeartbeat,
  site: string,
  receipt: Receipt,
  rules: ApplyRules,
): Applied {
  if (before && isTakenIn(before, heartbeat)) {
    return { outcome: "duplicate", record: takeIn(before, heartbeat) };
  }
  // It tells of the past only.
  if (heartbeat.cause === "backfill") {
    return { outcome: "backfill", record: before && takeIn(before, heartbeat) };
  }
  const order = judgeOrder(before, heartbeat, receipt.receivedAtMs);
  const isSameBoot = order === "next" || order === "late";
  const intervalMs = heartbeat.intervalMs ?? before?.intervalMs ?? rules.expectedIntervalMs;
  const arrival = arrivalOf(heartbeat, receipt, intervalMs);
  const known = before && trusted(before.clock, receipt.clockSetAtMs);
  const learned: Learned =
    known && isSameBoot
      ? learn(known, arrival)
      : { clock: newBootClock(arrival, known), isLive: false, isInTime: false };

  if (before && (order === "duplicate" || order === "other-boot")) {
    // What waited may be from before the boot was replaced.
    const record = receipt.hasWaited ? before : hearOther(before, heartbeat, receipt.receivedAtMs);
    return { outcome: order, record: takeIn(record, heartbeat) };
  }
  // In format 1 the order is the wall clock's: when it was set back, what comes in time is new all the same.
  if (before && order === "late" && !(heartbeat.format === 1 && learned.isInTime)) {
    const record = heartbeat.format === 1 ? { ...before, clock: learned.clock } : takeIn(before, heartbeat);
    return { outcome: "late", record };
  }
  return { outcome: "applied", record: accept(before, heartbeat, { site, order, arrival, learned, rules }) };
}

interface Acceptance {
  readonly site: string;
  readonly order: Order;
  readonly arrival: Arrival;
  readonly learned: Learned;
  readonly rules: ApplyRules;
}

function accept(
  before: SiteRecord | undefined,
  heartbeat: ReceivedHeartbeat,
  { site, order, arrival, learned, rules }: Acceptance,
): SiteRecord {
  const { format, bootId, sequence, sentAtMs, cause } = heartbeat;
  const { receivedAtMs, hasWaited } = arrival;
  const { clock, isLive } = learned;
  const gapsMs = format === 1 ? gapsAfter(before, heartbeat, isLive) : [];
  const intervalMs = heartbeat.intervalMs ?? Math.max(rules.expectedIntervalMs, usualGapMs(gapsMs));
  const allowedMs = rules.silenceFactor * intervalMs;
  const sentMs = sentAtByOurClock(clock, arrival);
  // What was sent later is fresher. Of a boot that took over from a silent one that is not certain.
  const leastMs = before && order !== "takeover" ? Math.min(before.surelyFreshAtMs, receivedAtMs) : 0;
  // How long it waited may be unknown: then nothing of what it says is known to be so still.
  const freshAtMs = Math.max(sentMs ?? receivedAtMs - allowedMs - 1, leastMs);
  // While a message waits a wall clock can be set.
  const isSure = sentMs !== undefined && (!hasWaited || (clock.skew !== undefined && arrival.isMonotonic));
  const deadlineMs = freshAtMs + allowedMs;
  const record: SiteRecord = {
    site,
    format,
    bootId,
    sequence,
    cause,
    boots: bootsAfter(before, heartbeat, receivedAtMs),
    clock,
    newestSentAtMs: Math.max(before?.newestSentAtMs ?? 0, Math.min(sentAtMs, receivedAtMs)),
    intervalMs,
    gapsMs,
    toldAheadMs: before?.toldAheadMs,
    receivedAtMs,
    firstHeardAtMs: before?.firstHeardAtMs ?? receivedAtMs,
    freshAtMs,
    surelyFreshAtMs: isSure ? freshAtMs : leastMs,
    deadlineMs,
    sweepAtMs: deadlineMs,
    // News that comes when its deadline has passed ends no silence.
    isSilenceWritten: before?.isSilenceWritten === true && deadlineMs < receivedAtMs,
    components: [],
  };
  return { ...record, components: componentsAfter(before, heartbeat, isContested(record, receivedAtMs)) };
}

function arrivalOf(
  { format, sentAtMs, uptimeMs }: ReceivedHeartbeat,
  { receivedAtMs, hasWaited }: Receipt,
  intervalMs: number,
): Arrival {
  const isMonotonic = format === 2 && uptimeMs !== undefined;
  const sendingMs = isMonotonic ? uptimeMs : sentAtMs;
  return { receivedAtMs, sendingMs, sentAtMs, isMonotonic, hasWaited, intervalMs };
}

function trusted(clock: SenderClock, clockSetAtMs: number): SenderClock {
  if (!clock.skew || clock.skew.learnedAtMs >= clockSetAtMs) return clock;
  return { anchor: clock.anchor };
}

/** What is not reported any more is gone; but not while two publishers contradict each other, nor by a bare goodbye. */
function componentsAfter(
  before: SiteRecord | undefined,
  { components, cause, bootId }: ReceivedHeartbeat,
  isContested: boolean,
): ComponentRecord[] {
  const known = new Map(before?.components.map((component) => [keyOf(component), component]));
  const isSameBoot = before?.bootId === bootId;
  const reported = components.map((report) => applyReport(known.get(keyOf(report)), report, isSameBoot));
  if (!isContested && !(cause === "goodbye" && components.length === 0)) return reported;
  const names = new Set(components.map(keyOf));
  return [...reported, ...[...known.values()].filter((component) => !names.has(keyOf(component)))];
}

/** Identifies a component within its site. */
export function keyOf({ kind, name }: { kind: string; name: string }): string {
  return `${kind}:${name}`;
}

function applyReport(
  before: ComponentRecord | undefined,
  report: ComponentReport,
  isSameBoot: boolean,
): ComponentRecord {
  const { sinceMs, observedAtMs, state } = report;
  const isSameState = before?.state === state;
  const reportedSinceMs = sinceMs ?? (isSameState ? before.reportedSinceMs : observedAtMs);
  // Each boot says since when it knows. Within one, another time says that there was another state in between.
  const hasChanged =
    !isSameState ||
    (isSameBoot && before.reportedSinceMs !== undefined && before.reportedSinceMs !== reportedSinceMs);
  return {
    ...report,
    sinceMs: hasChanged ? (sinceMs ?? observedAtMs) : before.sinceMs,
    reportedSinceMs,
    lastUpMs: state === "up" ? observedAtMs : before?.lastUpMs,
    lastFailedMs: state === "up" ? before?.lastFailedMs : observedAtMs,
  };
}
