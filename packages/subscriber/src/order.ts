import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import { hasSeen, withSeen } from "./sequences.ts";
import type { BootRecord, SiteRecord } from "./site-record.ts";

/** How many boots of a site are remembered, each with its newest sequence. */
const MAX_BOOTS = 64;
/** How many of them may be such as never spoke for the site. */
const MAX_PASSED_OVER = 4;
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
  // One that never spoke for the site has none, and is as good as unknown.
  const remembered = bootOf(record, bootId)?.sequence ?? 0;
  if (remembered === 0 && sentAtMs >= record.newestSentAtMs) return "successor";
  if (record.deadlineMs < nowMs && sequence > remembered) return "takeover";
  return "other-boot";
}

/** The remembered boots once this one speaks for the site. */
export function bootsAfter(
  before: SiteRecord | undefined,
  heartbeat: ReceivedHeartbeat,
  receivedAtMs: number,
): BootRecord[] {
  const { bootId, sequence } = heartbeat;
  const others = (before?.boots ?? []).filter((boot) => boot.bootId !== bootId);
  const replaced = others.map((boot) => ({ ...boot, replacedAtMs: boot.replacedAtMs ?? receivedAtMs }));
  const { seen, firstSentAtMs, lastSentAtMs } = bootOf(before, bootId) ?? {};
  const boot = { bootId, sequence, seen, firstSentAtMs, lastSentAtMs };
  return [...replaced, withHeard(boot, heartbeat)].slice(-MAX_BOOTS);
}

export function bootOf(record: SiteRecord | undefined, bootId: string): BootRecord | undefined {
  return record?.boots.find((boot) => boot.bootId === bootId);
}

/** Whether a heartbeat of this number was taken in before. Not told in format 1, where the number is a time. */
export function isTakenIn(
  record: SiteRecord | undefined,
  { format, bootId, sequence }: ReceivedHeartbeat,
): boolean {
  return format === 2 && hasSeen(bootOf(record, bootId)?.seen ?? [], sequence);
}

/**
 * Whether this very heartbeat was. A publisher that has got no confirm says it again with its number, but the time of then,
 * which is later than all that it has said before.
 */
export function isReplay(record: SiteRecord | undefined, heartbeat: ReceivedHeartbeat): boolean {
  const { lastSentAtMs = 0 } = bootOf(record, heartbeat.bootId) ?? {};
  return isTakenIn(record, heartbeat) && heartbeat.sentAtMs <= lastSentAtMs;
}

/** The record once a heartbeat has been taken in that does not count: its boot is remembered. Unchanged in format 1. */
export function takeIn(record: SiteRecord, heartbeat: ReceivedHeartbeat): SiteRecord {
  const { format, bootId } = heartbeat;
  if (format === 1 || isReplay(record, heartbeat)) return record;
  const boots = bootOf(record, bootId) ? record.boots : withPassedOver(record.boots, { bootId, sequence: 0 });
  return {
    ...record,
    boots: boots.map((boot) => (boot.bootId === bootId ? withHeard(boot, heartbeat) : boot)),
  };
}

function withHeard(boot: BootRecord, { format, sequence, sentAtMs }: ReceivedHeartbeat): BootRecord {
  const { seen, firstSentAtMs = sentAtMs, lastSentAtMs = sentAtMs } = boot;
  return {
    ...boot,
    ...(format === 2 && { seen: withSeen(seen ?? [], sequence) }),
    firstSentAtMs: Math.min(firstSentAtMs, sentAtMs),
    lastSentAtMs: Math.max(lastSentAtMs, sentAtMs),
  };
}

/**
 * The record once a boot has been heard that does not speak for the site: it was replaced, or has been passed over since
 * it was heard first. Unchanged when it says nothing new.
 */
export function hearOther(
  record: SiteRecord,
  { bootId, sequence }: Pick<ReceivedHeartbeat, "bootId" | "sequence">,
  receivedAtMs: number,
): SiteRecord {
  const boot = bootOf(record, bootId);
  const heardSince = { sequence, atMs: receivedAtMs };
  if (!boot) {
    const passedOver = { bootId, sequence: 0, replacedAtMs: receivedAtMs, heardSince };
    return { ...record, boots: withPassedOver(record.boots, passedOver) };
  }
  if (sequence <= Math.max(boot.sequence, boot.heardSince?.sequence ?? 0)) return record;
  const heard = { ...boot, replacedAtMs: boot.replacedAtMs ?? receivedAtMs, heardSince };
  return { ...record, boots: record.boots.map((other) => (other === boot ? heard : other)) };
}

/** Before the one that speaks; in place of the first such one when there are too many. */
function withPassedOver(boots: readonly BootRecord[], added: BootRecord): BootRecord[] {
  const passedOver = boots.filter(({ sequence }) => sequence === 0);
  const dropped = passedOver.length >= MAX_PASSED_OVER ? passedOver[0] : undefined;
  const kept = boots.filter((boot) => boot !== dropped);
  return [...kept.slice(0, -1), added, ...kept.slice(-1)].slice(-MAX_BOOTS);
}

/**
 * Whether two publishers speak for the site: a boot was heard two intervals after it was replaced or passed over, while
 * the one that replaced it was heard again, too. Over when the other one has not been heard for as long as makes a site
 * silent.
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
