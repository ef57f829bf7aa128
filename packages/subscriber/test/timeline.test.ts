import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { describe, expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import { factsOf } from "../src/facts.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { type History, retell } from "../src/timeline.ts";
import { component, heartbeat, receipt, rules } from "./heartbeats.ts";

const T = 1_000_000;

/** A heartbeat of a boot, sent so many milliseconds after T, with each component's state and since when it is. */
function said(
  bootId: string,
  sequence: number,
  sentMs: number,
  states: Readonly<Record<string, readonly [State, number]>>,
  parts: Partial<ReceivedHeartbeat> = {},
): ReceivedHeartbeat {
  const components = Object.entries(states).map(([name, [state, sinceMs]]) =>
    component({ name, state, sinceMs: T + sinceMs, observedAtMs: T + sentMs }),
  );
  return heartbeat({ bootId, sequence, sentAtMs: T + sentMs, components, ...parts });
}

/** Each message told by itself, with all that was told before; how the events and the record read in the end. */
function tell(...messages: ReceivedHeartbeat[]) {
  let record: SiteRecord | undefined;
  let told: History = { events: [], restated: [], givenUpToMs: 0 };
  let ids = 0;
  for (const message of messages) {
    const { outcome, record: after } = applyHeartbeat(record, message, "tsd", receipt(T + 10_000), rules);
    if (outcome === "duplicate") continue;
    const isApplied = outcome === "applied";
    const facts = factsOf([{ heartbeat: message, before: record, after, isApplied }]);
    const retold = retell(record, after, facts, facts.isPlain ? undefined : told);
    record = retold.record;
    const kept = told.events.filter(({ id }) => !retold.withdrawn.includes(id));
    const added = retold.events.map((event) => ({ ...event, id: String((ids += 1)) }));
    const restated = retold.restated ?? told.restated;
    told = { events: [...kept, ...added], restated, givenUpToMs: 0 };
  }
  return {
    events: told.events.map(({ name, state, sinceMs }) => `${name} ${state} ${sinceMs - T}`).toSorted(),
    record: record?.components.map(({ name, state, sinceMs }) => `${name} ${state} ${sinceMs - T}`),
  };
}

const up = said("a", 1, 110, { db: ["up", 100] });
const down = said("a", 2, 210, { db: ["down", 200] });
const upAgain = said("a", 3, 310, { db: ["up", 300] });
const late = (message: ReceivedHeartbeat) => ({ ...message, cause: "backfill" as const });
const upInNext = said("b", 1, 510, { db: ["up", 500] });
const upInThird = said("c", 1, 910, { db: ["up", 900] });

describe("what happened", () => {
  test.each([
    {
      what: "each change once",
      messages: [up, down, upAgain],
      events: ["db down 200", "db up 100", "db up 300"],
    },
    {
      what: "a change that comes late",
      messages: [up, upAgain, down],
      events: ["db down 200", "db up 100", "db up 300"],
    },
    {
      what: "a change out of the buffer, again and again",
      messages: [upAgain, late(up), late(down), late({ ...down, sequence: 4 })],
      events: ["db down 200", "db up 100", "db up 300"],
    },
    {
      what: "that there was one in between, of which nobody told",
      messages: [up, upAgain],
      events: ["db up 100", "db up 300"],
    },
    {
      what: "nothing when a restart repeats what is",
      messages: [up, upInNext, upInThird],
      events: ["db up 100"],
    },
    {
      what: "a restart that ended what came late",
      messages: [up, upInNext, upInThird, said("a", 2, 410, { db: ["down", 400] })],
      events: ["db down 400", "db up 100", "db up 500"],
    },
    {
      what: "no restart for a change that came before it",
      messages: [said("b", 1, 510, { db: ["down", 500] }), up, down],
      events: ["db down 200", "db up 100"],
    },
    {
      what: "what is not reported any more, at the time of the first heartbeat without it",
      messages: [
        said("a", 1, 110, { db: ["up", 100], old: ["up", 100] }),
        said("b", 2, 520, { db: ["up", 500] }),
        upInNext,
      ],
      events: ["db up 100", "old removed 510", "old up 100"],
    },
    {
      what: "the same of what is heard of too late",
      messages: [upInNext, said("a", 1, 110, { db: ["up", 100], old: ["up", 100] })],
      events: ["db up 100", "old removed 510", "old up 100"],
    },
    {
      what: "what comes back",
      messages: [up, said("b", 1, 510, { mq: ["up", 500] }), upInThird],
      events: ["db removed 510", "db up 100", "db up 900", "mq removed 910", "mq up 500"],
    },
    {
      what: "nothing gone by a bare goodbye",
      messages: [up, said("a", 2, 210, {}, { cause: "goodbye" })],
      events: ["db up 100"],
    },
  ])("tells $what", ({ messages, events }) => {
    expect(tell(...messages).events).toEqual(events);
  });

  test("is told alike in every order", () => {
    const messages = [up, down, upAgain, upInNext, upInThird];
    const inOrder = tell(...messages);
    for (const message of messages) {
      const others = messages.filter((other) => other !== message);
      for (const order of [
        [message, ...others],
        [...others, message],
        [...others.toReversed(), message],
      ])
        expect(tell(...order)).toEqual(inOrder);
    }
  });

  test("makes a state begin when it did", () => {
    expect(tell(up, upInNext).record).toEqual(["db up 100"]);
    expect(tell(up, upInNext, down).record).toEqual(["db up 500"]);
    expect(tell(upInNext, up).record).toEqual(["db up 100"]);
  });
});

describe("what was given up", () => {
  const givenUpToMs = T + 150;
  const history: History = { events: [], restated: [], givenUpToMs };
  const { record } = applyHeartbeat(undefined, upAgain, "tsd", receipt(T + 310), rules);

  test("is not told again, and what came later is", () => {
    const told = factsOf(
      [up, down].map((message) => ({ heartbeat: message, before: record, after: record, isApplied: false })),
    );
    expect(retell(record, record, told, history).events).toMatchObject([{ state: "down", sinceMs: T + 200 }]);
  });

  test("makes no event of what was none because of it", () => {
    const old = { kind: "service", name: "old", state: "up", sinceMs: T + 120, reason: undefined } as const;
    const restated = [{ ...old, bootId: "z" }];
    const told = factsOf([{ heartbeat: down, before: record, after: record, isApplied: false }]);
    expect(retell(record, record, told, { ...history, restated }).events).toMatchObject([{ name: "db" }]);
    const again = said("a", 2, 210, { old: ["down", 200] });
    const toldAgain = factsOf([{ heartbeat: again, before: record, after: record, isApplied: false }]);
    const { events } = retell(record, record, toldAgain, { ...history, restated });
    expect(events.filter(({ name }) => name === "old")).toMatchObject([
      { state: "down" },
      { state: "removed" },
    ]);
  });

  test("keeps nobody from telling what is new now, whatever its clock says", () => {
    const behind = said("a", 4, 140, { db: ["down", 130] });
    const after = applyHeartbeat(record, behind, "tsd", receipt(T + 400), rules).record;
    const told = factsOf([{ heartbeat: behind, before: record, after, isApplied: true }]);
    expect(retell(record, after, told, history).events).toMatchObject([{ state: "down", sinceMs: T + 130 }]);
  });
});

describe("format 1", () => {
  const old = (atMs: number, state: State, bootId = "2026") => {
    const components = [component({ state, sinceMs: undefined, observedAtMs: T + atMs })];
    const times = { sequence: T + atMs, sentAtMs: T + atMs, uptimeMs: undefined, intervalMs: undefined };
    return heartbeat({ format: 1, bootId, components, ...times });
  };

  test("tells changes from one heartbeat that counts to the next, and nothing late", () => {
    const messages = [
      old(100, "up"),
      old(200, "up"),
      old(300, "down"),
      old(250, "up"),
      old(400, "down", "2027"),
    ];
    expect(tell(...messages)).toEqual({ events: ["db down 300", "db up 100"], record: ["db down 300"] });
  });

  test("gives way to format 2 without an event", () => {
    expect(tell(old(100, "up"), upInNext)).toEqual({ events: ["db up 100"], record: ["db up 100"] });
  });
});

test("a record of an earlier version, which does not know what its boot said, goes on without an event", () => {
  const first = applyHeartbeat(undefined, up, "tsd", receipt(T + 110), rules).record;
  if (!first) throw new Error("not applied");
  const before = {
    ...first,
    components: first.components.map((known) => ({ ...known, reportedSinceMs: undefined })),
  };
  const next = said("a", 2, 210, { db: ["up", 150] });
  const after = applyHeartbeat(before, next, "tsd", receipt(T + 210), rules).record;
  const told = factsOf([{ heartbeat: next, before, after, isApplied: true }]);
  const retold = retell(before, after, told, undefined);
  expect({ events: retold.events, since: retold.record?.components[0]?.sinceMs }).toEqual({
    events: [],
    since: T + 100,
  });
});
