import { CLOCK_TOLERANCE_MS } from "./passing-time.ts";
import type { SiteRecord } from "./site-record.ts";
import type { Store } from "./store.ts";

/** A copy of the newest records, for the day on which the store loses its own. */
export interface Memory {
  /**
   * Takes over what is newer in the store, writes back what the store has lost and returns the names of those sites. At
   * the first call it writes every record again, and with it the reader's keys: they may be missing or out of date.
   */
  keepStore(): Promise<string[]>;
  /** The newest records that are known here, by site. */
  readonly sites: ReadonlyMap<string, SiteRecord>;
}

/** @returns a memory of everything that goes through `store`, and the store to use in its place */
export function rememberingStore(store: Store): { memory: Memory; store: Store } {
  const remembered = new Map<string, SiteRecord>();
  let generation: string | undefined;
  let isFirst = true;

  /** Returns the sites that were written back. */
  async function compareAll(): Promise<string[]> {
    const knownBefore = new Set(remembered.keys());
    const { records, lost } = await store.loadAll();
    for (const record of records) {
      if (isNewer(record, remembered.get(record.site))) remembered.set(record.site, record);
    }
    const stored = new Map(records.map((record) => [record.site, record]));
    const listed = new Set([...stored.keys(), ...lost]);
    const restored = [];
    // What is not well first: until it is written, all that is written already looks as if it were all there is.
    const entries = [...remembered].toSorted(([, a], [, b]) => Number(isWell(a)) - Number(isWell(b)));
    for (const [site, record] of entries) {
      // Its record may be there still: of one that is not listed nobody would hear who asks for all.
      const isUnlisted = knownBefore.has(site) && !listed.has(site);
      if (!isFirst && !isUnlisted && !isNewer(record, stored.get(site))) continue;
      const before = await store.load(site);
      if (before.forgottenAtMs !== undefined) {
        remembered.delete(site);
        continue;
      }
      // It may have been written, or something newer, while all were being read.
      const newest = !before.record || isNewer(record, before.record) ? record : before.record;
      if (!isFirst && !isUnlisted && newest === before.record) continue;
      if ((await store.commit(before, newest, [])) === "committed" && !isFirst) restored.push(site);
    }
    return restored;
  }

  return {
    memory: {
      sites: remembered,
      async keepStore() {
        const current = await store.generation();
        if (!isFirst && current !== undefined && current === generation) return [];
        const restored = await compareAll();
        isFirst = false;
        generation = current;
        return restored;
      },
    },
    store: {
      ...store,
      async load(site) {
        const stored = await store.load(site);
        const isLost = !stored.record && stored.forgottenAtMs === undefined;
        return isLost ? { ...stored, record: remembered.get(site) } : stored;
      },
      async commit(before, record, events, corrections) {
        const result = await store.commit(before, record, events, corrections);
        if (result === "committed") remembered.set(record.site, record);
        return result;
      },
      async forget(before, site, ...rest) {
        const isForgotten = await store.forget(before, site, ...rest);
        if (isForgotten) remembered.delete(site);
        return isForgotten;
      },
    },
  };
}

/** How far the clocks of two subscribers may be apart, and how much later one of them may store: its loop is busy at times. */
const SAME_TIME_MS = CLOCK_TOLERANCE_MS + 2_000;

function isWell({ isSilenceWritten, components }: SiteRecord): boolean {
  return !isSilenceWritten && components.length > 0 && components.every(({ state }) => state === "up");
}

/**
 * Within a boot the sequence decides, but in format 1, where it is a clock that may be set back. The record that remembers
 * the other one's boot as far as that had come is the later one. Otherwise it is when they were received, by the clocks
 * of the subscribers.
 */
function isNewer(a: SiteRecord | undefined, b: SiteRecord | undefined): boolean {
  if (!a || !b) return a !== undefined;
  const isSameTime = Math.abs(a.receivedAtMs - b.receivedAtMs) <= SAME_TIME_MS;
  if (a.bootId === b.bootId) {
    const isOrdered = (a.format === 2 && b.format === 2) || isSameTime;
    if (isOrdered && a.sequence !== b.sequence) return a.sequence > b.sequence;
  } else if (remembers(a, b) !== remembers(b, a)) return remembers(a, b);
  return a.receivedAtMs > b.receivedAtMs;
}

function remembers({ boots }: SiteRecord, { bootId, sequence }: SiteRecord): boolean {
  return boots.some((boot) => boot.bootId === bootId && boot.sequence >= sequence);
}
