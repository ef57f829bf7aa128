import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { SiteRecord } from "./site-record.ts";

/** A change of state, of a component or of a site as a whole. */
export interface StateEvent {
  readonly kind: "service" | "queue" | "site";
  readonly name: string;
  readonly state: State | "fresh" | "silent" | "removed";
  /** When it began: for components the publisher's clock, else the receiver's. Unix milliseconds. */
  readonly sinceMs: number;
  readonly reason: string | undefined;
}

/** What changed from one record of a site to the next. */
export function eventsBetween(before: SiteRecord | undefined, after: SiteRecord): StateEvent[] {
  const known = new Map(
    before?.components.map((component) => [`${component.kind}:${component.name}`, component]),
  );
  const events: StateEvent[] = [];
  for (const { kind, name, state, sinceMs, reason } of after.components) {
    const key = `${kind}:${name}`;
    if (known.get(key)?.state !== state) events.push({ kind, name, state, sinceMs, reason });
    known.delete(key);
  }
  for (const { kind, name } of known.values()) {
    events.push({ kind, name, state: "removed", sinceMs: after.receivedAtMs, reason: undefined });
  }
  return [...events, ...siteEvents(before, after)];
}

function siteEvents(before: SiteRecord | undefined, after: SiteRecord): StateEvent[] {
  const { site: name, isSilenceWritten: isSilent, cause, deadlineMs, freshAtMs } = after;
  if (before?.isSilenceWritten === isSilent) return [];
  const event = { kind: "site", name } as const;
  if (!isSilent) return [{ ...event, state: "fresh", sinceMs: freshAtMs, reason: undefined }];
  const reason = cause === "goodbye" ? "goodbye" : "publisher_silent";
  return [{ ...event, state: "silent", sinceMs: deadlineMs, reason }];
}
