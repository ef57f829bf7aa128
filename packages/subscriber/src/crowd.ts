import type { SiteRecord } from "./site-record.ts";
import type { Store } from "./store.ts";

/**
 * A store that takes only so many components of all sites together: each answer of /health goes through all of them. Beyond
 * that a site is refused more components than it has, unless it has no more than its share of them: whoever sends many
 * takes no room from those who send few. So there are twice as many at most, and those of the moments in which other
 * subscribers do the same.
 * @param sites all that are known
 */
export function uncrowdedStore(store: Store, sites: ReadonlyMap<string, SiteRecord>, most: number): Store {
  function isTooMany({ site, components }: SiteRecord): boolean {
    const others = [...sites.values()].filter((other) => other.site !== site);
    const ofOthers = others.reduce((sum, other) => sum + other.components.length, 0);
    const share = most / (others.length + 1);
    return ofOthers + components.length > most && components.length > share;
  }

  return {
    ...store,
    async commit(before, record, events, corrections) {
      const isMore = record.components.length > (before.record?.components.length ?? 0);
      if (isMore && isTooMany(record)) return "crowded";
      return await store.commit(before, record, events, corrections);
    },
  };
}
