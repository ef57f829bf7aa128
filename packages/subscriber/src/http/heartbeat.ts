import type { Kind } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { siteEntryName } from "../reader-keys.ts";
import { type SiteVerdict, unknownSites, type Verdict } from "../verdict.ts";

interface Component {
  readonly name: string;
  readonly status: "ok" | "not_ok";
  /** ISO 8601 in UTC without a zone, as the reader writes it. */
  readonly last_seen_ok: string | null;
  readonly last_seen_failed: string | null;
}

const DESCRIPTIONS = {
  ALL_OK: "All services and queues are up and running",
  MISSING_SERVICES: "Missing one or more services",
  MISSING_QUEUES: "Missing one or more queues",
  MISSING_SERVICES_AND_QUEUES: "Missing one or more services and queues",
};

/**
 * The body of /heartbeat: the JSON of the old reader (FEGA-Norway localega-tsd-proxy, HeartbeatService), and what its
 * answer would be if it knew the time. What is not known to be ok is not ok.
 */
export function heartbeatBody(verdict: Verdict, expectedSites: readonly string[]) {
  const found = verdict.sites.flatMap(entriesOf);
  const unknown = unknownSites(verdict, expectedSites).map(siteEntryName);
  const missing = verdict.sites.length === 0 || verdict.isStoreStuck ? ["heartbeat", ...unknown] : unknown;
  return bodyOf([...found, ...missing.map((name) => notOk(name))]);
}

/** The body while the state cannot be read. */
export function unreadableHeartbeatBody() {
  return bodyOf([notOk("heartbeat")]);
}

interface Entry {
  readonly kind: Kind;
  readonly name: string;
  readonly isOk: boolean;
  readonly upMs: number | undefined;
  readonly failedMs: number | undefined;
}

function entriesOf({ site, state, components, deadlineMs }: SiteVerdict): Entry[] {
  const entries = components.map(({ kind, name, state: componentState, lastUpMs, lastFailedMs }): Entry => ({
    kind,
    name: name.replaceAll(":", "_"),
    isOk: componentState === "up",
    upMs: lastUpMs,
    failedMs: state === "silent" ? deadlineMs : lastFailedMs,
  }));
  return state === "contested" || components.length === 0
    ? [...entries, notOk(siteEntryName(site))]
    : entries;
}

function notOk(name: string): Entry {
  return { kind: "service", name, isOk: false, upMs: undefined, failedMs: undefined };
}

function bodyOf(entries: readonly Entry[]) {
  const [services, queues] = [componentsOf(entries, "service"), componentsOf(entries, "queue")];
  const status = overall(isMissing(services), isMissing(queues));
  return { status, description: DESCRIPTIONS[status], queues, services };
}

function overall(areServicesMissing: boolean, areQueuesMissing: boolean): keyof typeof DESCRIPTIONS {
  if (areServicesMissing) return areQueuesMissing ? "MISSING_SERVICES_AND_QUEUES" : "MISSING_SERVICES";
  return areQueuesMissing ? "MISSING_QUEUES" : "ALL_OK";
}

function isMissing(components: readonly Component[]): boolean {
  return components.some(({ status }) => status === "not_ok");
}

/** Each name once: of several sites the worst counts. */
function componentsOf(entries: readonly Entry[], wanted: Kind): Component[] {
  const byName = Map.groupBy(
    entries.filter(({ kind }) => kind === wanted),
    ({ name }) => name,
  );
  return [...byName].map(([name, group]) => ({
    name,
    status: group.every(({ isOk }) => isOk) ? "ok" : "not_ok",
    last_seen_ok: newest(group.map(({ upMs }) => upMs)),
    last_seen_failed: newest(group.map(({ failedMs }) => failedMs)),
  }));
}

function newest(times: readonly (number | undefined)[]): string | null {
  const known = times.filter((atMs) => atMs !== undefined);
  return known.length > 0 ? new Date(Math.max(...known)).toISOString().slice(0, 19) : null;
}
