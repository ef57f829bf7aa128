import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import type { BootRecord, SiteRecord } from "./site-record.ts";

/** How many boots of a site are remembered, each with its newest sequence. */
const MAX_BOOTS = 64;
/** A boot that was replaced and is heard so many intervals later was not replaced: there are two publishers. */
const REPLACED_AFTER_INTERVALS = 2;

/**
 * What becomes of a heartbeat: it counts as the next of its boot, or as the first after another boot (`takeover`, or
 * `successor` when it certainly is newer than everything before), or why it does not count.
 */
export type Order = "next" | "successor" | "takeover" | "duplicate" | "late" | "other-boot";

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
  if (!record) return "takeover";
  const { bootId, sequence, sentAtMs, format } = heartbeat;
  if (bootId === record.bootId) {
    if (sequence > record.sequence) return "next";
    if (sequence < record.sequence) return "late";
    // In format 1 the sequence is a time in whole seconds: two heartbeats may share it.
    return format === 1 ? "next" : "duplicate";
  }
  const remembered = record.boots.find((boot) => boot.bootId === bootId)?.sequence;
  if (remembered === undefined && sentAtMs >= record.newestSentAtMs) return "successor";
  if (record.deadlineMs < nowMs && sequence > (remembered ?? 0)) return "takeover";
  return "other-boot";
}

/** The remembered boots once this one speaks for the site. */
export function bootsAfter(
  before: SiteRecord | undefined,
  { bootId, sequence }: Pick<ReceivedHeartbeat, "bootId" | "sequence">,
  receivedAtMs: number,
): BootRecord[] {
  const others = (before?.boots ?? []).filter((boot) => boot.bootId !== bootId);
  const replaced = others.map((boot) => ({ ...boot, replacedAtMs: boot.replacedAtMs ?? receivedAtMs }));
  return [...replaced, { bootId, sequence }].slice(-MAX_BOOTS);
}

/** The record once a boot that was replaced has been heard; unchanged when it is not known or says nothing new. */
export function hearReplaced(
  record: SiteRecord,
  { bootId, sequence }: Pick<ReceivedHeartbeat, "bootId" | "sequence">,
  receivedAtMs: number,
): SiteRecord {
  const boot = record.boots.find((boot) => boot.bootId === bootId);
  if (!boot || sequence <= Math.max(boot.sequence, boot.heardSince?.sequence ?? 0)) return record;
  const heard = { ...boot, heardSince: { sequence, atMs: receivedAtMs } };
  return { ...record, boots: record.boots.map((other) => (other === boot ? heard : other)) };
}

/**
 * Whether two publishers speak for the site: a boot was heard two intervals after it was replaced, while the one that
 * replaced it was heard again, too. Over when the other one has not been heard for as long as makes a site silent.
 */
export function isContested(record: SiteRecord, nowMs: number): boolean {
  const { intervalMs, receivedAtMs, deadlineMs, freshAtMs } = record;
  return record.boots.some(({ replacedAtMs, heardSince }) => {
    if (replacedAtMs === undefined || !heardSince) return false;
    const isHeardLong = heardSince.atMs - replacedAtMs >= REPLACED_AFTER_INTERVALS * intervalMs;
    const isSuccessorAlive = receivedAtMs - replacedAtMs >= intervalMs / 2;
    return isHeardLong && isSuccessorAlive && nowMs <= heardSince.atMs + (deadlineMs - freshAtMs);
  });
}
