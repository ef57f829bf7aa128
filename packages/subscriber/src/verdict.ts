import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { ComponentRecord, SiteRecord } from "./site-record.ts";
import type { AllSites } from "./store.ts";

/** What may be said of a component now. Of a silent site nothing is known: the last state stands beside it. */
export interface ComponentVerdict extends ComponentRecord {
  readonly lastState: State;
}

export interface SiteVerdict {
  readonly site: string;
  readonly state: "fresh" | "silent";
  readonly freshAtMs: number;
  readonly deadlineMs: number;
  readonly intervalMs: number;
  readonly components: readonly ComponentVerdict[];
}

export interface Verdict {
  readonly isHealthy: boolean;
  /** Why it is not healthy, or what is doubtful: a sentence each, for a person. */
  readonly problems: readonly string[];
  readonly sites: readonly SiteVerdict[];
}

export interface VerdictRules {
  readonly expectedSites: readonly string[];
  /** Whether a component that could not be looked at fails the whole; in a silent site it always does. */
  readonly unknownAs: "fail" | "warn";
}

/**
 * The one answer to "is it healthy?": a pure function of what is stored and the receiver's clock, right whenever it is
 * asked. Healthy is only what is known to be: at least one site, each with components, all of them up and fresh.
 */
export function verdict({ records, lost }: AllSites, nowMs: number, rules: VerdictRules): Verdict {
  const sites = records.map((record) => siteVerdict(record, nowMs));
  const known = new Set(sites.map(({ site }) => site));
  const failures = [
    ...lost.map((site) => `what was known of site ${site} is lost, and it has not been heard since`),
    ...(sites.length + lost.length === 0 ? ["no site is known: no heartbeat has been received"] : []),
    ...rules.expectedSites
      .filter((site) => !known.has(site))
      .map((site) => `site ${site} is expected and has never been heard`),
    ...sites.flatMap(siteFailures),
    ...sites.flatMap((site) =>
      componentProblems(site, rules.unknownAs === "warn" ? ["down"] : ["down", "unknown"]),
    ),
  ];
  const warnings =
    rules.unknownAs === "warn" ? sites.flatMap((site) => componentProblems(site, ["unknown"])) : [];
  return { isHealthy: failures.length === 0, problems: [...failures, ...warnings], sites };
}

function siteVerdict(record: SiteRecord, nowMs: number): SiteVerdict {
  const { site, freshAtMs, deadlineMs, intervalMs } = record;
  const isSilent = deadlineMs < nowMs;
  return {
    site,
    state: isSilent ? "silent" : "fresh",
    freshAtMs,
    deadlineMs,
    intervalMs,
    components: record.components.map((component) =>
      componentVerdict(component, isSilent ? deadlineMs : undefined),
    ),
  };
}

function componentVerdict(component: ComponentRecord, silentSinceMs: number | undefined): ComponentVerdict {
  const lastState = component.state;
  if (silentSinceMs === undefined) return { ...component, lastState };
  return {
    ...component,
    lastState,
    state: "unknown",
    sinceMs: silentSinceMs,
    reason: "site_silent",
    detail: undefined,
  };
}

function siteFailures({ site, state, components, freshAtMs, deadlineMs, intervalMs }: SiteVerdict): string[] {
  if (state === "silent") {
    const every = `announced every ${intervalMs / 1000} s, allowed ${(deadlineMs - freshAtMs) / 1000} s`;
    return [`site ${site} is silent since ${time(deadlineMs)}: last news ${time(freshAtMs)}, ${every}`];
  }
  return components.length === 0 ? [`site ${site} reports no component at all`] : [];
}

/** One line for a silent site is enough; the states of its components are in the list. */
function componentProblems({ site, state, components }: SiteVerdict, states: readonly State[]): string[] {
  if (state === "silent") return [];
  return components
    .filter((component) => states.includes(component.state))
    .map(({ kind, name, state, sinceMs, reason }) => {
      return `${kind} ${name} (site ${site}) is ${state} since ${time(sinceMs)}${reason ? `: ${reason}` : ""}`;
    });
}

function time(atMs: number): string {
  return new Date(atMs).toISOString();
}
