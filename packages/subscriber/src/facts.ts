import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import { keyOf } from "./apply.ts";
import type { StateEvent } from "./events.ts";
import { bootOf } from "./order.ts";
import type { ComponentRecord, SiteRecord } from "./site-record.ts";

/** What a run of the publisher has said of a component: its state, and since when; or that it is not there (any more). */
export type Fact = StateEvent;

/** A heartbeat that was not taken in before, between the site's records before and after it. */
export interface TakenIn {
  readonly heartbeat: ReceivedHeartbeat;
  readonly before: SiteRecord | undefined;
  readonly after: SiteRecord | undefined;
  /** Whether it changed the state; else it tells of the past only. */
  readonly isApplied: boolean;
}

interface Component {
  readonly kind: "service" | "queue" | "site";
  readonly name: string;
}

/** By key. */
type Components = ReadonlyMap<string, Component>;

/** The components that a boot reports, as told by heartbeats that did not count, and when the first was sent. */
interface PassedBoot {
  readonly components: Components;
  readonly sentAtMs: number;
}

/** What heartbeats have told. */
export interface Told {
  /** What those that counted have said for the first time. */
  readonly current: readonly Fact[];
  /** What the others have said, again or for the first time. */
  readonly passed: readonly Fact[];
  readonly passedBoots: ReadonlyMap<string, PassedBoot>;
  /** Whether all current facts simply follow what the record knows, so that no history is needed to tell them. */
  readonly isPlain: boolean;
}

/** A boot reports the same components all the time. */
export function factsOf(taken: readonly TakenIn[]): Told {
  const current: Fact[] = [];
  const passed = new Map<string, Fact>();
  const passedBoots = new Map<string, PassedBoot>();
  let isPlain = true;
  for (const { heartbeat, before, after, isApplied } of taken) {
    const { bootId, sentAtMs } = heartbeat;
    if (isApplied && after) {
      const news = changes(heartbeat, before, after);
      current.push(...news.facts);
      isPlain &&= news.isPlain;
    } else if (heartbeat.format === 2) {
      isPlain = false;
      for (const fact of reported(heartbeat)) passed.set(factKey(fact), fact);
      if (isBareGoodbye(heartbeat)) continue;
      const components = new Map(heartbeat.components.map((component) => [keyOf(component), component]));
      const firstMs = Math.min(sentAtMs, passedBoots.get(bootId)?.sentAtMs ?? Infinity);
      passedBoots.set(bootId, { components, sentAtMs: firstMs });
    }
  }
  return { current, passed: [...passed.values()], passedBoots, isPlain };
}

/** Identifies a fact among all of a site. */
export function factKey({ kind, name, state, sinceMs, bootId }: Fact): string {
  return `${kind}:${name} ${state} ${sinceMs} ${bootId}`;
}

function isBareGoodbye({ cause, components }: ReceivedHeartbeat): boolean {
  return components.length === 0 && (cause === "goodbye" || cause === "backfill");
}

/** What format 2 says by itself, in whatever order it comes. */
function reported({ components, bootId }: ReceivedHeartbeat): Fact[] {
  return components.flatMap(({ kind, name, state, sinceMs, reason }) =>
    sinceMs === undefined ? [] : [{ kind, name, state, sinceMs, reason, bootId }],
  );
}

function changes(heartbeat: ReceivedHeartbeat, before: SiteRecord | undefined, after: SiteRecord) {
  const { bootId, components, sentAtMs } = heartbeat;
  const isSameBoot = before?.bootId === bootId;
  const known = new Map(before?.components.map((component) => [keyOf(component), component]));
  const facts: Fact[] = [];
  let isPlain = true;

  function add(fact: Fact, last: ComponentRecord | undefined): void {
    facts.push(fact);
    const newestMs = Math.max(last?.reportedSinceMs ?? Infinity, before?.toldAheadMs ?? 0);
    // What outlives a restart may be no event.
    isPlain &&= newestMs < fact.sinceMs && (last?.state !== fact.state || isSameBoot);
  }

  for (const { kind, name, state, sinceMs, observedAtMs, reason } of components) {
    const last = known.get(keyOf({ kind, name }));
    const isSameState = last?.state === state;
    // In format 1 nothing says since when, and a record of an earlier version not what its boot said.
    if (isSameState && (sinceMs === undefined || last.reportedSinceMs === undefined)) continue;
    if (isSameState && isSameBoot && sinceMs === last.reportedSinceMs) continue;
    add({ kind, name, state, sinceMs: sinceMs ?? observedAtMs, reason, bootId }, last);
  }
  const kept = new Set(after.components.map(keyOf));
  const goneAtMs = isSameBoot ? sentAtMs : (bootOf(after, bootId)?.firstSentAtMs ?? sentAtMs);
  for (const [key, component] of known) {
    if (!kept.has(key)) add(removal(component, bootId, goneAtMs), component);
  }
  return { facts, isPlain };
}

function removal({ kind, name }: Component, bootId: string, sinceMs: number): Fact {
  return { kind, name, state: "removed", sinceMs, reason: undefined, bootId };
}

/**
 * What heartbeats that did not count tell by their silence: a component that others have told of is not there in their
 * boot; or not in the one that speaks now, when theirs came before it.
 */
export function removalsOf(
  { current: news, passed, passedBoots }: Told,
  after: SiteRecord,
  known: readonly Fact[],
): Fact[] {
  const currentFirstMs = bootOf(after, after.bootId)?.firstSentAtMs ?? 0;
  const all = new Map([...known, ...news, ...passed, ...after.components].map((fact) => [keyOf(fact), fact]));
  const present = new Map(after.components.map((component) => [keyOf(component), component]));
  const gone = (components: Components) => removals(components, present, after.bootId, currentFirstMs);

  return [...passedBoots].flatMap(([bootId, { components, sentAtMs }]) => {
    if (bootId === after.bootId) return gone(all);
    const firstMs = Math.min(sentAtMs, bootOf(after, bootId)?.firstSentAtMs ?? Infinity);
    // Two publishers side by side say nothing about what the other one has.
    if (firstMs >= currentFirstMs) return [];
    return [...removals(all, components, bootId, firstMs), ...gone(components)];
  });
}

/** Of what is not there any more. */
function removals(of: Components, present: Components, bootId: string, sinceMs: number): Fact[] {
  return [...of].flatMap(([key, component]) =>
    present.has(key) ? [] : [removal(component, bootId, sinceMs)],
  );
}
