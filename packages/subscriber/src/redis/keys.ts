/** The braces keep all keys of a site in one slot of a cluster. */
export function siteKey(site: string): string {
  return `heartbeat:{${site}}:site`;
}

export function eventsKey(site: string): string {
  return `heartbeat:{${site}}:events`;
}

export const SITES = "heartbeat:sites";
export const SWEEPS = "heartbeat:deadlines";
export const GENERATION = "heartbeat:generation";
export const REJECTED = "heartbeat:rejected";
export const READER_HASHES = "heartbeat:reader:";
export const TOLD_UNKNOWN = "heartbeat:reader-told-unknown";

/** Longer than any subscriber that runs takes to notice, and than messages are likely to wait in a queue. */
export const FORGOTTEN_FOR_S = 7 * 24 * 60 * 60;
