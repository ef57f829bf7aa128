import type { Kind } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { isContested } from "./order.ts";
import type { SiteRecord } from "./site-record.ts";

/** How long the `ok` key outlives the deadline of its site: silence is written long before, unless we are dead. */
const OK_OUTLIVES_DEADLINE_MS = 60_000;

const LEAST_TIME_MS = 3_600_000;

/**
 * What one site says about a name in the reader's keys. Where several sites have the name, the worst counts.
 * All times are unix milliseconds.
 */
export interface ReaderEntry {
  readonly kind: Kind;
  /** With `_` for `:`, which separates the parts of the key. */
  readonly name: string;
  readonly isOk: boolean;
  /** When it was last seen as it is now. */
  readonly atMs: number;
  /** When it last failed, if it ever did. */
  readonly failedAtMs: number | undefined;
  /** When the `ok` key expires. */
  readonly okExpiresAtMs: number;
}

/** The keys of a site for the program that reads `service:…` and `queue:…`, once for each kind and name. */
export function readerEntries(record: SiteRecord): ReaderEntry[] {
  const { components, deadlineMs, receivedAtMs } = record;
  const heardMs = record.boots.map(({ heardSince }) => heardSince?.atMs ?? 0);
  const nowMs = Math.max(receivedAtMs, ...heardMs);
  // News may come when its deadline has passed already: the reader must not hear OK until the sweep comes by.
  const isSilent = record.isSilenceWritten || deadlineMs < nowMs;
  const ofSite = components.length === 0 || isContested(record, nowMs) ? [siteEntry(record, nowMs)] : [];
  const entries = new Map<string, ReaderEntry>();
  for (const { kind, name, state, observedAtMs, lastFailedMs } of components) {
    const entry = {
      kind,
      name: name.replaceAll(":", "_"),
      isOk: state === "up" && !isSilent,
      // Near 1970 an ok key would not be ten minutes later than the not_ok key that says never.
      atMs: isSilent ? deadlineMs : observedAtMs < LEAST_TIME_MS ? receivedAtMs : observedAtMs,
      failedAtMs: lastFailedMs,
      okExpiresAtMs: Math.floor(deadlineMs + OK_OUTLIVES_DEADLINE_MS),
    };
    const key = `${kind}:${entry.name}`;
    // Two names may become one when their colons are replaced.
    const other = entries.get(key);
    if (!other || other.isOk) entries.set(key, entry);
  }
  return [...entries.values(), ...ofSite];
}

/** The name under which the reader is told that a site as a whole is not ok. */
export function siteEntryName(site: string): string {
  return `heartbeat-${site}`;
}

/** Of a site that reports nothing nothing is known to be ok; nor where two publishers contradict each other. */
function siteEntry({ site }: SiteRecord, atMs: number): ReaderEntry {
  const never = { failedAtMs: undefined, okExpiresAtMs: 0 };
  return { kind: "service", name: siteEntryName(site), isOk: false, atMs, ...never };
}
