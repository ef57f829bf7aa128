import type { Kind } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { SiteRecord } from "./site-record.ts";

/** How long the `ok` key outlives the deadline of its site: silence is written long before, unless we are dead. */
const OK_OUTLIVES_DEADLINE_MS = 60_000;

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
  const { site, components, deadlineMs, receivedAtMs } = record;
  if (components.length === 0) return [withoutComponents(site, receivedAtMs)];
  // News may come when its deadline has passed already: the reader must not hear OK until the sweep comes by.
  const isSilent = record.isSilenceWritten || deadlineMs < receivedAtMs;
  const entries = new Map<string, ReaderEntry>();
  for (const { kind, name, state, observedAtMs, lastFailedMs } of components) {
    const entry = {
      kind,
      name: name.replaceAll(":", "_"),
      isOk: state === "up" && !isSilent,
      atMs: isSilent ? deadlineMs : observedAtMs,
      failedAtMs: lastFailedMs,
      okExpiresAtMs: Math.floor(deadlineMs + OK_OUTLIVES_DEADLINE_MS),
    };
    const key = `${kind}:${entry.name}`;
    // Two names may become one when their colons are replaced.
    const other = entries.get(key);
    if (!other || other.isOk) entries.set(key, entry);
  }
  return [...entries.values()];
}

/** Of a site that reports nothing, nothing is known to be ok. */
function withoutComponents(site: string, atMs: number): ReaderEntry {
  const never = { failedAtMs: undefined, okExpiresAtMs: 0 };
  return { kind: "service", name: `heartbeat-${site}`, isOk: false, atMs, ...never };
}
