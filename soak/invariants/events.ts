import type { Span } from "./timeline.ts";

/** An event as it stands in Redis. */
export interface StoredEvent {
  readonly site: string;
  readonly kind: string;
  readonly name: string;
  readonly state: string;
  readonly since: string;
}

/** With its place in the stream of its site. */
export interface StreamEntry extends StoredEvent {
  /** As Redis gives it: milliseconds, `-`, a number. */
  readonly id: string;
}

/** The events of a time in which Redis kept what it had: until it was emptied, or until now. */
export interface Age {
  /** What stood there at its last look, by site in the order of its stream. */
  readonly standing: readonly StreamEntry[];
  /** Each that ever stood there, some of which may have been given up or withdrawn since. */
  readonly seen: readonly StreamEntry[];
}

/** What one confirmed message of a publisher tells, in format 2. */
export interface Told {
  readonly site: string;
  readonly bootId: string;
  readonly sequence: number;
  readonly sentAt: string;
  readonly components: readonly Omit<StoredEvent, "site">[];
}

/** A stream holds a thousand, of which a few may have been withdrawn since. */
const NEARLY_FULL = 900;
/** Two looks, one of them late, and the second one that makes it believed. */
const LONG_ENOUGH_MS = 3_000;
/** A part is seen to be away before its end has been noted. */
const CLOCK_STEP_MS = 200;

/** A state may begin so long before it is believed and told. */
const TOLD_LATE_MS = 20_000;

/** Of components only: what becomes of a whole site by silence depends on when its messages arrive. */
export function doubleEvents(events: readonly StoredEvent[]): string[] {
  const counts = new Map<string, number>();
  for (const event of events) {
    if (event.kind !== "site") counts.set(words(event), (counts.get(words(event)) ?? 0) + 1);
  }
  return [...counts].filter(([, count]) => count > 1).map(([event, count]) => `${event} (${count} times)`);
}

/** The changes that were told within one boot, and so are known whatever came before it. */
function changesWithinBoots(told: readonly Told[]): StoredEvent[] {
  const boots = Map.groupBy(told, ({ site, bootId }) => `${site} ${bootId}`);
  return [...boots.values()].flatMap(changesOfBoot);
}

function changesOfBoot(told: readonly Told[]): StoredEvent[] {
  const states = new Map<string, string>();
  const changes: StoredEvent[] = [];
  for (const { site, components } of told.toSorted((a, b) => a.sequence - b.sequence)) {
    for (const { kind, name, state, since } of components) {
      const before = states.get(`${kind} ${name}`);
      if (before !== undefined && before !== state) changes.push({ site, kind, name, state, since });
      states.set(`${kind} ${name}`, state);
    }
  }
  return changes;
}

/** Changes that were confirmed and are events of no age. */
export function lostChanges(told: readonly Told[], ages: readonly Age[]): string[] {
  const kept = new Set(ages.flatMap(keptIn).map(words));
  const lost = changesWithinBoots(told).filter((change) => !kept.has(words(change)));
  return [...new Set(lost.map(words))];
}

/** What stood before all that stands in a full stream was given up: then it is enough that it was there once. */
function keptIn({ standing, seen }: Age): StoredEvent[] {
  const streams = Map.groupBy(standing, ({ site }) => site);
  const isGivenUp = ({ site, id }: StreamEntry) => {
    const [oldest, ...newer] = streams.get(site) ?? [];
    return oldest !== undefined && newer.length >= NEARLY_FULL && isBefore(id, oldest.id);
  };
  return [...standing, ...seen.filter(isGivenUp)];
}

function isBefore(id: string, other: string): boolean {
  const [[ms = 0, number = 0] = [], [otherMs = 0, otherNumber = 0] = []] = [id, other].map((id) =>
    id.split("-").map(Number),
  );
  return ms < otherMs || (ms === otherMs && number < otherNumber);
}

/** Events of components that no message told of, but for those of the times in which nobody heard the messages. */
export function inventedEvents(
  told: readonly Told[],
  events: readonly StoredEvent[],
  deaf: readonly { readonly fromMs: number; readonly toMs: number }[],
): string[] {
  const known = new Set(
    told.flatMap(({ site, components }) => components.map((component) => words({ site, ...component }))),
  );
  const isUnheard = ({ since }: StoredEvent) =>
    deaf.some(({ fromMs, toMs }) => fromMs - TOLD_LATE_MS <= Date.parse(since) && Date.parse(since) <= toMs);
  return events
    .filter((event) => event.kind !== "site" && !isUnheard(event))
    .map(words)
    .filter((event) => !known.has(event));
}

/** What was so for long enough to be seen, in a part whose publisher saw all of it, and is no event. */
export function untoldSpans(
  component: Pick<StoredEvent, "site" | "kind" | "name">,
  spans: readonly Span[],
  seen: readonly StoredEvent[],
): string[] {
  const { site, kind, name } = component;
  const ofThis = seen.filter((event) => event.site === site && event.kind === kind && event.name === name);
  return (
    spans
      // Who was not seen to be down was not seen to come back.
      .filter((span, index) => isLong(span) && (span.truth === "down" || isLong(spans[index - 1])))
      .filter(({ truth, fromMs, toMs }) => {
        return !ofThis.some((event) => {
          const sinceMs = Date.parse(event.since);
          return event.state === truth && fromMs - CLOCK_STEP_MS <= sinceMs && sinceMs <= toMs;
        });
      })
      .map(({ truth, fromMs, toMs }) => {
        const since = new Date(fromMs).toISOString();
        return `${site}: ${kind} ${name} was ${truth} from ${since} for ${(toMs - fromMs) / 1000} s`;
      })
  );
}

function isLong(span: Span | undefined): boolean {
  return span !== undefined && span.toMs - span.fromMs >= LONG_ENOUGH_MS;
}

function words({ site, kind, name, state, since }: StoredEvent): string {
  return `${site}: ${kind} ${name} ${state} since ${since}`;
}
