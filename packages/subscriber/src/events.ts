import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { SiteRecord } from "./site-record.ts";

/** A change of state, of a component or of a site as a whole. */
export interface StateEvent {
  readonly kind: "service" | "queue" | "site";
  readonly name: string;
  readonly state: State | "fresh" | "silent" | "removed";
  /** When it began: for components the publisher's clock, for sites the receiver's. Unix milliseconds. */
  readonly sinceMs: number;
  readonly reason: string | undefined;
  /** The publisher's run that told of it; absent for sites, and where that is not known any more. */
  readonly bootId?: string | undefined;
}

/** What changed of a site as a whole from one record to the next. */
export function siteEvents(before: SiteRecord | undefined, after: SiteRecord): StateEvent[] {
  const { site: name, isSilenceWritten: isSilent, cause, deadlineMs, freshAtMs } = after;
  if (before?.isSilenceWritten === isSilent) return [];
  const event = { kind: "site", name } as const;
  if (!isSilent) return [{ ...event, state: "fresh", sinceMs: freshAtMs, reason: undefined }];
  const reason = cause === "goodbye" ? "goodbye" : "publisher_silent";
  return [{ ...event, state: "silent", sinceMs: deadlineMs, reason }];
}
