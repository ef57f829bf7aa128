import { keyOf } from "./apply.ts";
import type { SiteRecord } from "./site-record.ts";

/** A restart may overlap by so much. Who was heard side by side for longer is another site with the same components. */
const OVERLAP_INTERVALS = 2;
/** Who comes later than so much after the other one went is somebody else. */
const MOST_GAP_MS = 10 * 60_000;

/**
 * The site that took the place of a silent nameless one, as when upstream's publisher, which knows no names, was replaced
 * by one of ours: it is not silent itself, came when the other one went, which had been there for a while, and reports
 * every component of the silent one.
 * Undefined when there is none.
 */
export function replacementOf(
  nameless: SiteRecord | undefined,
  sites: Iterable<SiteRecord>,
  nowMs: number,
): string | undefined {
  if (!nameless || nameless.components.length === 0 || nowMs <= nameless.deadlineMs) return undefined;
  for (const site of sites) {
    if (site.site === nameless.site || site.deadlineMs < nowMs) continue;
    const overlapMs = nameless.receivedAtMs - site.firstHeardAtMs;
    const mostMs = OVERLAP_INTERVALS * nameless.intervalMs;
    if (overlapMs > mostMs || overlapMs < -MOST_GAP_MS) continue;
    // Of those that came together we may know no more than since when we know of them.
    if (site.firstHeardAtMs - nameless.firstHeardAtMs <= mostMs) continue;
    const reported = new Set(site.components.map(keyOf));
    if (nameless.components.every((component) => reported.has(keyOf(component)))) return site.site;
  }
  return undefined;
}
