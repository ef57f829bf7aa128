import * as z from "zod";
import type { StateEvent } from "../events.ts";
import type { Fact } from "../facts.ts";
import type { Corrections } from "../store.ts";
import type { History } from "../timeline.ts";

const LEAST_EVENTS = 1_000;
/** So that a site with many components keeps what happened when all of them failed and came back. */
const EVENTS_PER_COMPONENT = 4;
const MOST_EVENTS = 8_000;
/** What a clock that is wrong by more says of an event that is given up is not believed of all the others. */
const MOST_AHEAD_MS = 24 * 60 * 60 * 1000;

/** The changes of what was told of a site, for the script that makes them. */
export function historyChanges(
  events: readonly StateEvent[],
  corrections: Corrections | undefined,
  components: number,
): string {
  const most = Math.min(Math.max(LEAST_EVENTS, EVENTS_PER_COMPONENT * components), MOST_EVENTS);
  const restated = corrections?.restated?.map(({ kind, name, state, sinceMs, bootId }) => {
    return [kind, name, state, sinceMs, bootId];
  });
  const latest = sinceOf({ sinceMs: Date.now() + MOST_AHEAD_MS });
  const tooMany = events.slice(0, -most).map(sinceOf);
  const givenUp = tooMany.filter((since) => since <= latest).toSorted();
  return JSON.stringify({
    most,
    events: events.slice(-most).map(streamEntry),
    withdrawn: corrections?.withdrawn ?? [],
    latest,
    given_up: givenUp.at(-1),
    ...(restated && { restated: JSON.stringify(restated) }),
  });
}

function streamEntry({ kind, name, state, sinceMs, reason, bootId }: StateEvent): string[] {
  const fields = { kind, name, state, since: sinceOf({ sinceMs }), reason, boot: bootId };
  return Object.entries(fields).flatMap(([field, value]) => (value === undefined ? [] : [field, value]));
}

/** As text these have the order of the times. */
function sinceOf({ sinceMs }: Pick<StateEvent, "sinceMs">): string {
  return new Date(sinceMs).toISOString();
}

const kindSchema = z.enum(["service", "queue"]);
const stateSchema = z.enum(["up", "down", "unknown", "removed"]);
const restatedSchema = z.array(z.tuple([kindSchema, z.string(), stateSchema, z.number(), z.string()]));

/** What is stored; what cannot be read is as good as lost. Events of the site as a whole are left out. */
export function parseHistory(
  entries: readonly (readonly [id: string, fields: readonly string[]])[],
  restated: string | null | undefined,
  givenUpTo: string | null | undefined,
): History {
  return {
    events: entries.flatMap(([id, fields]) => {
      const values = valuesOf(fields);
      const kind = kindSchema.safeParse(values.get("kind")).data;
      const state = stateSchema.safeParse(values.get("state")).data;
      const name = values.get("name");
      const sinceMs = Date.parse(values.get("since") ?? "");
      if (!kind || !state || name === undefined || Number.isNaN(sinceMs)) return [];
      return [{ id, kind, name, state, sinceMs, reason: values.get("reason"), bootId: values.get("boot") }];
    }),
    restated: parseRestated(restated ?? "[]"),
    givenUpToMs: Date.parse(givenUpTo ?? "") || 0,
  };
}

function valuesOf(fields: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (let at = 0; at < fields.length; at += 2) values.set(fields[at] ?? "", fields[at + 1] ?? "");
  return values;
}

function parseRestated(text: string): Fact[] {
  try {
    return restatedSchema.parse(JSON.parse(text)).map(([kind, name, state, sinceMs, bootId]) => {
      return { kind, name, state, sinceMs, bootId, reason: undefined };
    });
  } catch {
    return []; // somebody else's
  }
}
