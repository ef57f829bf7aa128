import type { StateEvent } from "../events.ts";
import { type SiteRecord, siteRecordSchema } from "../site-record.ts";
import type { AllSites } from "../store.ts";

export const MAX_EVENTS = 1_000;

/** The entries of a site's stream for the script that adds them: lists of field, value, field, value… */
export function streamEntries(events: readonly StateEvent[]): string {
  return JSON.stringify(events.slice(-MAX_EVENTS).map(streamEntry));
}

function streamEntry({ kind, name, state, sinceMs, reason }: StateEvent): string[] {
  const since = new Date(sinceMs).toISOString();
  const fields = ["kind", kind, "name", name, "state", state, "since", since];
  return reason === undefined ? fields : [...fields, "reason", reason];
}

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
