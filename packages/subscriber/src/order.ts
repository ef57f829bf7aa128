import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import type { SiteRecord } from "./site-record.ts";

/** How many boots of a site are remembered, each with its newest sequence. */
const MAX_BOOTS = 64;

/** What becomes of a heartbeat: it counts, or why not. */
export type Order = "apply" | "duplicate" | "late" | "other-boot";

/**
 * Whether a heartbeat is the newest word of its site. Within a boot the sequence decides, not the clock. Another boot
 * takes over when it is unknown and not older than what was accepted (a rolling update), or when the current one is past
 * its deadline (a crash, and a wrong clock locks nobody out); a replay is neither.
 */
export function judgeOrder(
  record: SiteRecord | undefined,
  heartbeat: ReceivedHeartbeat,
  nowMs: number,
): Order {
  if (!record) return "apply";
  const { bootId, sequence, sentAtMs, format } = heartbeat;
  if (bootId === record.bootId) {
    if (sequence > record.sequence) return "apply";
    if (sequence < record.sequence) return "late";
    // In format 1 the sequence is a time in whole seconds: two heartbeats may share it.
    return format === 1 ? "apply" : "duplicate";
  }
  const remembered = record.boots.find(([id]) => id === bootId)?.[1];
  if (remembered === undefined && sentAtMs >= record.newestSentAtMs) return "apply";
  if (record.deadlineMs < nowMs && sequence > (remembered ?? 0)) return "apply";
  return "other-boot";
}

/** The remembered boots with this one moved to the end. */
export function rememberBoot(
  boots: SiteRecord["boots"],
  bootId: string,
  sequence: number,
): SiteRecord["boots"] {
  return [...boots.filter(([id]) => id !== bootId), [bootId, sequence] as [string, number]].slice(-MAX_BOOTS);
}
