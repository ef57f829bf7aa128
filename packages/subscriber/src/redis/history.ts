import * as z from "zod";
import type { StateEvent } from "../events.ts";
import type { Fact } from "../facts.ts";
import type { Corrections } from "../store.ts";
import type { History } from "../timeline.ts";

const LEAST_EVENTS = 1_000;
/** So that a site with many components keeps what happened when all of them failed and came back. */
const EVENTS_PER_COMPONENT = 4;
const MOST_EVENTS = 16_000;

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
  const tooMany = events.slice(0, -most);
  return JSON.stringify({
    most,
    events: events.slice(-most).map(streamEntry),
    withdrawn: corrections?.withdrawn ?? [],
    ...(tooMany.length > 0 && { given_up: tooMany.map(sinceOf).toSorted().at(-1) }),
    ...(restated && { restated: JSON.stringify(restated) }),
  });
}

function streamEntry({ kind, name, state, sinceMs, reason, bootId }: StateEvent): string[] {
  return [
    ...["kind", kind, "name", name, "state", state, "since", sinceOf({ sinceMs })],
    ...(reason === undefined ? [] : ["reason", reason]),
    ...(bootId === undefined ? [] : ["boot", bootId]),
  ];
}

/** As text these have the order of the times. */
function sinceOf({ sinceMs }: Pick<StateEvent, "sinceMs">): string {
  return new Date(sinceMs).toISOString();
}

const stateSchema = z.enum(["up", "down", "unknown", "removed"]);
const entrySchema = z.object({
  kind: z.enum(["service", "queue"]),
  name: z.string(),
  state: stateSchema,
  since: z.iso.datetime().transform((text) => Date.parse(text)),
  reason: z.string().optional(),
  boot: z.string().optional(),
});
const restatedSchema = z.array(
  z.tuple([entrySchema.shape.kind, z.string(), stateSchema, z.number(), z.string()]),
);

/** What is stored; what cannot be read is as good as lost. Events of the site as a whole are left out. */
export function parseHistory(
  entries: readonly (readonly [id: string, fields: readonly string[]])[],
  restated: string | null | undefined,
  givenUpTo: string | null | undefined,
): History {
  return {
    events: entries.flatMap(([id, fields]) => {
      const { success, data } = entrySchema.safeParse(objectOf(fields));
      if (!success) return [];
      const { kind, name, state, since: sinceMs, reason, boot: bootId } = data;
      return [{ id, kind, name, state, sinceMs, reason, bootId }];
    }),
    restated: parseRestated(restated ?? "[]"),
    givenUpToMs: Date.parse(givenUpTo ?? "") || 0,
  };
}

function objectOf(fields: readonly string[]): Record<string, string> {
  const pairs = fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1] ?? ""]] : []));
  return Object.fromEntries(pairs) as Record<string, string>;
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
