import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { componentProblems } from "./component-problems.ts";
import { isFromTheFuture } from "./passing-time.ts";
import { isContested } from "./order.ts";
import type { ComponentRecord, SiteRecord } from "./site-record.ts";
import type { AllSites } from "./store.ts";

/**
 * What may be said of a component now. Of a silent site nothing is known: the last state stands beside it. Values are there
 * only while the state is known, or they would seem to be today's.
 */
export interface ComponentVerdict extends ComponentRecord {
  readonly lastState: State;
}

/** Why nothing is known of a silent site. */
type SilenceCause = "publisher_silent" | "goodbye" | "broker_unreachable" | "catching_up" | "not_stored";

export interface SiteVerdict {
  readonly site: string;
  /** `contested`: two publishers speak for it. */
  readonly state: "fresh" | "silent" | "contested";
  /** Present when silent. */
  readonly cause: SilenceCause | undefined;
  readonly freshAtMs: number;
  readonly deadlineMs: number;
  readonly intervalMs: number;
  /** How far the publisher's wall clock is behind the receiver's; undefined while that is not known. */
  readonly clockBehindMs: number | undefined;
  readonly components: readonly ComponentVerdict[];
}

export interface Verdict {
  readonly isHealthy: boolean;
  /** Why it is not healthy: a sentence each, for a person. */
  readonly problems: readonly string[];
  /** What is doubtful without making it unhealthy. */
  readonly warnings: readonly string[];
  readonly sites: readonly SiteVerdict[];
  /** Known by name only: what was known of them is lost. */
  readonly lostSites: readonly string[];
  readonly isStoreStuck: boolean;
}

export interface VerdictRules {
  readonly expectedSites: readonly string[];
  /**
   * Whether a component that could not be looked at fails the whole. In a silent site it always does, and where it is hidden
   * behind another one, if its severity is `fail`.
   */
  readonly unknownAs: "fail" | "warn";
}

/** What this subscriber sees of the broker, and of its own storing. */
export interface View {
  /** Since when it has no connection, 0 when it never had one; undefined while it has one. */
  readonly brokerAwaySinceMs: number | undefined;
  /** Whether messages that waited for it are still to be taken in. */
  readonly isCatchingUp: boolean;
  /** Why what comes cannot be stored, so that what is stored may be wrong; undefined when it can. */
  readonly storeTrouble: string | undefined;
}

const CLOCK_WARNING_MS = 5 * 60_000;

/**
 * The one answer to "is it healthy?": a pure function of what is stored and the receiver's clock, right whenever it is
 * asked. Healthy is only what is known to be: at least one site, each with components, all of them up and fresh.
 */
export function verdict(
  { records, lost }: AllSites,
  nowMs: number,
  rules: VerdictRules,
  view: View,
): Verdict {
  const sites = records.map((record) => siteVerdict(record, nowMs, view));
  const known = new Set(sites.map(({ site }) => site));
  const ofComponents = sites.map((site) => componentProblems(site, rules.unknownAs));
  const problems = [
    ...(view.storeTrouble === undefined
      ? []
      : [`heartbeats cannot be stored in Redis, so what it holds may be old: ${view.storeTrouble}`]),
    ...lost.map((site) => `what was known of site ${site} is lost, and it has not been heard since`),
    ...(sites.length + lost.length === 0 ? ["no site is known: no heartbeat has been received"] : []),
    ...rules.expectedSites
      .filter((site) => !known.has(site))
      .map((site) => `site ${site} is expected and has never been heard`),
    ...sites.flatMap(siteFailures),
    ...ofComponents.flatMap(({ problems }) => problems),
  ];
  const warnings = [...ofComponents.flatMap(({ warnings }) => warnings), ...sites.flatMap(clockWarnings)];
  // Not by the lines alone: they are for people, and a line that is left out must not make anything well.
  const isHealthy = problems.length === 0 && !ofComponents.some(({ isFailing }) => isFailing);
  const isStoreStuck = view.storeTrouble !== undefined;
  return { isHealthy, problems, warnings, sites, lostSites: lost, isStoreStuck };
}

/** Sites of which nothing is known but the name: expected and never heard, or lost. */
export function unknownSites({ sites, lostSites }: Verdict, expectedSites: readonly string[]): string[] {
  const known = new Set(sites.map(({ site }) => site));
  return [...new Set([...expectedSites, ...lostSites])].filter((site) => !known.has(site));
}

function siteVerdict(record: SiteRecord, nowMs: number, view: View): SiteVerdict {
  const { site, freshAtMs, deadlineMs, intervalMs, clock } = record;
  const isSilent = deadlineMs < nowMs || isFromTheFuture(record, nowMs);
  return {
    site,
    state: isSilent ? "silent" : isContested(record, nowMs) ? "contested" : "fresh",
    cause: isSilent ? silenceCause(record, view) : undefined,
    freshAtMs,
    deadlineMs,
    intervalMs,
    clockBehindMs: clock.wallMs,
    components: record.components.map((component) =>
      componentVerdict(component, isSilent ? deadlineMs : undefined),
    ),
  };
}

/** Only who was connected when the deadline passed, and has taken in what waited, knows that nothing was sent. */
function silenceCause({ deadlineMs, cause }: SiteRecord, view: View): SilenceCause {
  if (view.storeTrouble !== undefined) return "not_stored";
  if (view.brokerAwaySinceMs !== undefined && view.brokerAwaySinceMs < deadlineMs)
    return "broker_unreachable";
  if (view.isCatchingUp) return "catching_up";
  return cause === "goodbye" ? "goodbye" : "publisher_silent";
}

function componentVerdict(component: ComponentRecord, silentSinceMs: number | undefined): ComponentVerdict {
  const lastState = component.state;
  const values = lastState === "unknown" ? undefined : component.values;
  if (silentSinceMs === undefined) return { ...component, lastState, values };
  return {
    ...component,
    lastState,
    state: "unknown",
    sinceMs: silentSinceMs,
    reason: "site_silent",
    detail: undefined,
    values: undefined,
    because: undefined,
  };
}

const CAUSES: Readonly<Record<SilenceCause, string>> = {
  publisher_silent: "its publisher has fallen silent",
  goodbye: "its publisher was stopped on purpose",
  broker_unreachable: "the broker cannot be reached from here",
  catching_up: "messages that waited for this subscriber are still being taken in",
  not_stored: "heartbeats cannot be stored",
};

function siteFailures(verdict: SiteVerdict): string[] {
  const { site, state, cause, components, freshAtMs, deadlineMs, intervalMs } = verdict;
  if (state === "silent") {
    const every = `every ${intervalMs / 1000} s expected, ${(deadlineMs - freshAtMs) / 1000} s allowed`;
    const why = cause ? CAUSES[cause] : "";
    return [
      `site ${site} is silent since ${time(deadlineMs)}: ${why}; last news ${time(freshAtMs)}, ${every}`,
    ];
  }
  return [
    ...(state === "contested"
      ? [`site ${site} has two publishers: give each a name of its own, or stop one`]
      : []),
    ...(components.length === 0 ? [`site ${site} reports no component at all`] : []),
  ];
}

function clockWarnings({ site, clockBehindMs = 0 }: SiteVerdict): string[] {
  if (Math.abs(clockBehindMs) <= CLOCK_WARNING_MS) return [];
  const off = `${Math.round(Math.abs(clockBehindMs) / 1000)} s ${clockBehindMs > 0 ? "behind" : "ahead"}`;
  return [`the clock of site ${site} is ${off}, measured by the one here`];
}

function time(atMs: number): string {
  return new Date(atMs).toISOString();
}
