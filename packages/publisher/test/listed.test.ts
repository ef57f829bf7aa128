import { expect, test } from "vitest";
import { judgeListed } from "../src/probes/listed.ts";
import { attached, bare, ingest, listener, pair, queueTarget } from "./queues.ts";

const twoWanted = queueTarget("ingest", [listener("sda-ingest", "ingest", 2)]);

test.each([
  { what: "attached", queue: ingest, consumers: [attached("ctag-ingest-1")], states: ["up", "up"] },
  {
    what: "attached as the single active one",
    queue: ingest,
    consumers: [attached("ingest", "single_active")],
    states: ["up", "up"],
  },
  {
    what: "attached as a stand-by",
    queue: ingest,
    consumers: [attached("ingest", "waiting")],
    states: ["up", "up"],
  },
  {
    what: "suspected by the broker",
    queue: ingest,
    consumers: [attached("ingest", "suspected_down")],
    states: ["unknown", "unknown"],
  },
  {
    what: "one of two is well",
    queue: ingest,
    consumers: [attached("ingest", "odd"), attached("ingest")],
    states: ["up", "up"],
  },
  { what: "another consumer only", queue: ingest, consumers: [attached("other")], states: ["down", "down"] },
  { what: "no consumer", queue: ingest, consumers: [], states: ["down", "down"] },
  {
    what: "two where two are wanted",
    queue: twoWanted,
    consumers: [attached("ingest-1"), attached("ingest-2", "waiting"), attached("other")],
    states: ["up", "up"],
  },
  {
    what: "one where two are wanted",
    queue: twoWanted,
    consumers: [attached("ingest-1"), attached("other")],
    states: ["down", "down"],
  },
  {
    what: "one and a suspected one where two are wanted",
    queue: twoWanted,
    consumers: [attached("ingest-1"), attached("ingest-2", "suspected_down")],
    states: ["unknown", "unknown"],
  },
  { what: "no queue", queue: ingest, consumers: "missing" as const, states: ["down", "down"] },
  { what: "one of two listeners", queue: pair, consumers: [attached("b")], states: ["down", "down", "up"] },
  {
    what: "down is worse than unknown",
    queue: pair,
    consumers: [attached("a", "odd")],
    states: ["down", "unknown", "down"],
  },
  { what: "a queue without listeners exists", queue: bare, consumers: [], states: ["up"] },
  {
    what: "a queue without listeners is missing",
    queue: bare,
    consumers: "missing" as const,
    states: ["down"],
  },
])("$what: $states", ({ queue, consumers, states }) => {
  expect(judgeListed(queue, consumers).map(({ state }) => state)).toEqual(states);
});
