import { keyOf } from "./apply.ts";
import type { StateEvent } from "./events.ts";
import { type Fact, factKey, removalsOf, type Told } from "./facts.ts";
import type { ComponentRecord, SiteRecord } from "./site-record.ts";

/** What is known to have been told of a site's components. */
export interface History {
  /** With the ids under which they are stored. */
  readonly events: readonly (StateEvent & { readonly id: string })[];
  /** Facts that are no events: a restart told again what was known. */
  readonly restated: readonly Fact[];
  /** Of events up to this time, unix milliseconds, some have been given up. */
  readonly givenUpToMs: number;
}

export interface Retold {
  readonly record: SiteRecord | undefined;
  /** New events, in the order of their times. */
  readonly events: readonly StateEvent[];
  /** Ids of events that turn out to be none. */
  readonly withdrawn: readonly string[];
  /** Undefined when they have not changed. */
  readonly restated: readonly Fact[] | undefined;
}

/** So many facts that are no events are kept: that each component was told of again at so many restarts, and a few. */
const RESTATED_PER_COMPONENT = 4;
const LEAST_RESTATED = 100;

/** A fact in the line of a component. */
interface Entry extends Fact {
  /** Present when it is stored as an event. */
  readonly id?: string;
  /** Whether it was an event before. */
  readonly isTold: boolean;
  readonly isRestated?: boolean;
}

/**
 * The events that follow from facts, whatever their order. The facts about a component stand in a line, by the time at
 * which each began. Each is an event, unless the one before it tells of the same state and comes from another boot: a
 * restart repeats what is, with a time of its own. Within a boot the same state with another time means that there was
 * another one in between.
 * @param before the record that is stored, and what was told up to it
 * @param after the record after the heartbeats that told the facts
 * @param history all that was told before; not needed when all facts are plain
 */
export function retell(
  before: SiteRecord | undefined,
  after: SiteRecord | undefined,
  told: Told,
  history: History | undefined,
): Retold {
  const lines = linesOf(before, [...told.current, ...passedFacts(after, told, history)], history);
  const entries = [...lines.values()].flatMap((line) => line.entries);
  // What is no event because of one that was given up does not become one.
  const isOld = ({ isRestated, sinceMs }: Entry) => isRestated && sinceMs <= (history?.givenUpToMs ?? 0);
  const news = entries
    .filter(({ isShown, entry }) => isShown && !entry.isTold && !isOld(entry))
    .map(({ entry }) => entry);
  return {
    record: after && withLines(after, lines),
    events: news.toSorted((a, b) => a.sinceMs - b.sinceMs),
    withdrawn: [...lines.values()].flatMap((line) => line.withdrawn),
    restated: history && restatedAfter(lines, history, after?.components.length ?? 0),
  };
}

/** What tells of the past, but for what may be in the part that was given up. */
function passedFacts(after: SiteRecord | undefined, told: Told, history: History | undefined): Fact[] {
  if (!history) return [];
  const facts = [...told.passed, ...(after ? removalsOf(told, after, history.events) : [])];
  return facts.filter(({ sinceMs }) => sinceMs > history.givenUpToMs);
}

/** The lines of those components of which there are new facts. */
function linesOf(
  before: SiteRecord | undefined,
  news: readonly Fact[],
  history: History | undefined,
): Map<string, Line> {
  const events = Map.groupBy(history?.events ?? [], keyOf);
  const restated = Map.groupBy(history?.restated ?? [], keyOf);
  const recorded = new Map(before?.components.map((component) => [keyOf(component), component]));
  return new Map(
    [...Map.groupBy(news, keyOf)].map(([key, facts]) => {
      const stored: Entry[] = [
        ...(events.get(key) ?? []).map((event) => ({ ...event, isTold: true })),
        ...(restated.get(key) ?? []).map((fact) => ({ ...fact, isTold: false, isRestated: true })),
      ];
      const known = recordedFacts(recorded.get(key), before?.bootId, stored);
      return [key, lineOf([...stored, ...known, ...facts.map((fact) => ({ ...fact, isTold: false }))])];
    }),
  );
}

/** Undefined when none has come to be no event. */
function restatedAfter(
  lines: ReadonlyMap<string, Line>,
  { restated }: History,
  components: number,
): Fact[] | undefined {
  const entries = [...lines.values()].flatMap((line) => line.entries);
  const none = entries.filter(({ isShown }) => !isShown).map(({ entry }) => entry);
  if (none.every(({ isRestated }) => isRestated)) return undefined;
  const most = Math.max(LEAST_RESTATED, RESTATED_PER_COMPONENT * components);
  const others = restated.filter((fact) => !lines.has(keyOf(fact)));
  return [...others, ...none].toSorted((a, b) => a.sinceMs - b.sinceMs).slice(-most);
}

interface Line {
  readonly entries: readonly { readonly entry: Entry; readonly isShown: boolean }[];
  readonly withdrawn: readonly string[];
}

/** What the record itself knows of a component: since when its state is, and what the boot that speaks says of that. */
function recordedFacts(
  component: ComponentRecord | undefined,
  bootId: string | undefined,
  stored: readonly Entry[],
): Entry[] {
  if (!component) return [];
  const { kind, name, state, sinceMs, reportedSinceMs, reason } = component;
  const fact = { kind, name, state, reason };
  const isOutlived = sinceMs !== reportedSinceMs;
  const hasFirst = stored.some((entry) => entry.state === state && entry.sinceMs === sinceMs);
  const first = { ...fact, sinceMs, bootId: isOutlived ? undefined : bootId, isTold: true };
  const last =
    reportedSinceMs === undefined ? [] : [{ ...fact, sinceMs: reportedSinceMs, bootId, isTold: false }];
  return [...(hasFirst ? [] : [first]), ...(isOutlived ? last : [])];
}

function lineOf(facts: readonly Entry[]): Line {
  const sorted = facts.toSorted(
    (a, b) =>
      a.sinceMs - b.sinceMs ||
      compare(a.state, b.state) ||
      compare(a.bootId ?? "", b.bootId ?? "") ||
      rank(a) - rank(b),
  );
  const unique = new Map<string, Entry>();
  for (const entry of sorted) {
    // A boot lacks a component from its beginning: of several times the first.
    const key = entry.state === "removed" ? `removed ${entry.bootId}` : factKey(entry);
    if (!unique.has(key)) unique.set(key, entry);
  }
  const line = [...unique.values()];
  const entries = line.map((entry, index) => ({ entry, isShown: isEvent(entry, line[index - 1]) }));
  const shown = new Set(entries.filter(({ isShown }) => isShown).map(({ entry }) => entry.id));
  const withdrawn = facts.flatMap(({ id }) => (id === undefined || shown.has(id) ? [] : [id]));
  return { entries, withdrawn };
}

function isEvent(fact: Fact, previous: Fact | undefined): boolean {
  if (!previous) return fact.state !== "removed";
  return previous.state !== fact.state || previous.bootId === fact.bootId;
}

/** What is stored already comes first. */
function rank({ id, isTold }: Entry): number {
  if (id !== undefined) return 0;
  return isTold ? 1 : 2;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The record with the times since when its components are in their states; whether something was told of later times. */
function withLines(record: SiteRecord, lines: ReadonlyMap<string, Line>): SiteRecord {
  let { toldAheadMs } = record;
  const components = record.components.map((component) => {
    const { state, reportedSinceMs } = component;
    const entries = lines.get(keyOf(component))?.entries ?? [];
    let index = entries.findIndex(
      ({ entry }) =>
        entry.state === state && entry.sinceMs === reportedSinceMs && entry.bootId === record.bootId,
    );
    if (index === -1) return component;
    const lastMs = entries.at(-1)?.entry.sinceMs ?? 0;
    if (index < entries.length - 1) toldAheadMs = Math.max(toldAheadMs ?? 0, lastMs);
    while (index > 0 && entries[index]?.isShown === false) index -= 1;
    return { ...component, sinceMs: entries[index]?.entry.sinceMs ?? component.sinceMs };
  });
  return { ...record, toldAheadMs, components };
}
