import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import type { ComponentReport } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { judgeOrder, type Order, rememberBoot } from "./order.ts";
import type { ComponentRecord, SiteRecord } from "./site-record.ts";

export interface ApplyRules {
  /** Assumed for heartbeats that announce none. */
  readonly expectedIntervalMs: number;
  /** A site is silent when its news is older than this times its interval. */
  readonly silenceFactor: number;
}

export type Outcome = Order | "backfill";

export interface Applied {
  readonly outcome: Outcome;
  /** Absent only while nothing has been accepted for the site. */
  readonly record: SiteRecord | undefined;
}

/** The site's record after a heartbeat; unchanged unless the outcome is `apply`. `receivedAtMs`: the receiver's clock. */
export function applyHeartbeat(
  before: SiteRecord | undefined,
  heartbeat: ReceivedHeartbeat,
  site: string,
  receivedAtMs: number,
  rules: ApplyRules,
): Applied {
  // It tells of the past only.
  if (heartbeat.cause === "backfill") return { outcome: "backfill", record: before };
  const outcome = judgeOrder(before, heartbeat, receivedAtMs);
  if (outcome !== "apply") return { outcome, record: before };

  const { format, bootId, sequence, sentAtMs } = heartbeat;
  const intervalMs = heartbeat.intervalMs ?? rules.expectedIntervalMs;
  // A message that waited in a queue is as old as it says; one from a clock that is ahead is no newer than its receipt.
  const freshAtMs = Math.min(sentAtMs, receivedAtMs);
  const deadlineMs = freshAtMs + rules.silenceFactor * intervalMs;
  const known = new Map(before?.components.map((component) => [keyOf(component), component]));
  const record = {
    site,
    format,
    bootId,
    sequence,
    boots: rememberBoot(before?.boots ?? [], bootId, sequence),
    newestSentAtMs: Math.max(before?.newestSentAtMs ?? 0, Math.min(sentAtMs, receivedAtMs)),
    intervalMs,
    receivedAtMs,
    freshAtMs,
    deadlineMs,
    sweepAtMs: deadlineMs,
    isSilenceWritten: false,
    components: heartbeat.components.map((report) => applyReport(known.get(keyOf(report)), report)),
  };
  return { outcome, record };
}

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

/** Identifies a component within its site. */
export function keyOf({ kind, name }: { kind: string; name: string }): string {
  return `${kind}:${name}`;
}

function applyReport(before: ComponentRecord | undefined, report: ComponentReport): ComponentRecord {
  const { sinceMs, observedAtMs, state } = report;
  return {
    ...report,
    sinceMs: before?.state === state ? before.sinceMs : (sinceMs ?? observedAtMs),
    lastFailedMs: state === "up" ? before?.lastFailedMs : observedAtMs,
  };
}
