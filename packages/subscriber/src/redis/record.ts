import { type SiteRecord, siteRecordSchema } from "../site-record.ts";
import type { AllSites } from "../store.ts";

/** Undefined for what cannot be read: as good as lost, and replaced by the next heartbeat. */
export function parseRecord(text: string): SiteRecord | undefined {
  try {
    return siteRecordSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // no JSON
  }
}

/** `records` are those of all sites that have one. */
export function allSites(sites: readonly string[], records: readonly SiteRecord[]): AllSites {
  const found = new Set(records.map(({ site }) => site));
  return { records, lost: sites.filter((site) => !found.has(site)) };
}

/** Somebody wrote something else to a key of ours: nothing can be read there, and the next commit mends it. */
export function isWrongType(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("WRONGTYPE");
}
