import { expect, test } from "vitest";
import { consumersProbe, judgeQueue, type QueueTarget } from "../src/probes/consumers.ts";
import { type Management, ManagementError, type QueueConsumer } from "../src/probes/management.ts";

const ingest: QueueTarget = {
  queue: "ingest",
  listeners: [{ name: "sda-ingest", matches: (tag) => tag.includes("ingest") }],
};
const pair: QueueTarget = {
  queue: "pair",
  listeners: [
    { name: "a", matches: (tag) => tag === "a" },
    { name: "b", matches: (tag) => tag === "b" },
  ],
};
const bare: QueueTarget = { queue: "bare", listeners: [] };

function attached(tag: string, activity = "up", queue = "ingest"): QueueConsumer {
  return { queue, tag, activity };
}

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
  { what: "no queue", queue: ingest, consumers: undefined, states: ["down", "down"] },
  { what: "one of two listeners", queue: pair, consumers: [attached("b")], states: ["down", "down", "up"] },
  {
    what: "down is worse than unknown",
    queue: pair,
    consumers: [attached("a", "odd")],
    states: ["down", "unknown", "down"],
  },
  { what: "a queue without listeners exists", queue: bare, consumers: [], states: ["up"] },
  { what: "a queue without listeners is missing", queue: bare, consumers: undefined, states: ["down"] },
])("$what: $states", ({ queue, consumers, states }) => {
  expect(judgeQueue(queue, consumers).map(({ state }) => state)).toEqual(states);
});

/** A port, not the library: what the real one does is in the integration test. */
function scripted(parts: Partial<Management>): Management & { calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    seesAllConsumers: async () => {
      calls.push("whoami");
      return true;
    },
    consumers: async () => {
      calls.push("consumers");
      return [attached("ingest")];
    },
    consumersOf: async (queue) => {
      calls.push(queue);
      return [];
    },
    close: () => {},
    ...parts,
  };
}

const never = new AbortController().signal;

function look(management: Management, connectedForMs = 60_000, queues = [ingest]) {
  const options = { queues, management, brokerConnectedAtMs: () => 0, now: () => connectedForMs };
  return consumersProbe(options).look(never);
}

test("when all is well, each look after the first is one call for all queues", async () => {
  const management = scripted({});
  const options = { queues: [ingest], management, brokerConnectedAtMs: () => 0, now: () => 60_000 };
  const probe = consumersProbe(options);
  await probe.look(never);
  management.calls.length = 0;
  expect(await probe.look(never)).toMatchObject([{ state: "up" }, { state: "up" }]);
  expect(management.calls).toEqual(["consumers"]);
});

test("when something is amiss, the user's tags are asked for again before it is believed", async () => {
  // With the tag the list shows both consumers of the queue, without it only the one that is the user's own.
  let hasTag = true;
  const both = [attached("a", "up", "pair"), attached("b", "up", "pair")];
  const management = scripted({
    seesAllConsumers: async () => hasTag,
    consumers: async () => (hasTag ? both : both.slice(0, 1)),
    consumersOf: async () => both,
  });
  const options = { queues: [pair], management, brokerConnectedAtMs: () => 0, now: () => 60_000 };
  const probe = consumersProbe(options);
  await probe.look(never);
  hasTag = false;
  expect((await probe.look(never)).map(({ state }) => state)).toEqual(["up", "up", "up"]);
});

test.each([
  {
    what: "right after a connect",
    connectedForMs: 9_999,
    state: "unknown",
    reason: "list_empty_after_connect",
  },
  { what: "later", connectedForMs: 10_000, state: "down", reason: "consumer_missing" },
])("a list that is wholly empty $what is $state", async ({ connectedForMs, state, reason }) => {
  const management = scripted({ consumers: async () => [] });
  expect(await look(management, connectedForMs)).toMatchObject([
    { state, reason },
    { state, reason },
  ]);
});

test("a queue that expects no consumer is no reason for doubt", async () => {
  const management = scripted({ consumers: async () => [] });
  expect(await look(management, 1_000, [bare])).toMatchObject([{ state: "up" }]);
});

test("once consumers have been seen, an empty list is true, until the connection is lost", async () => {
  let [connectedAtMs, list] = [0, [attached("ingest")]];
  const management = scripted({ consumers: async () => list });
  const options = {
    queues: [ingest],
    management,
    brokerConnectedAtMs: () => connectedAtMs,
    now: () => 5_000,
  };
  const probe = consumersProbe(options);
  const stateNow = async () => (await probe.look(never))[0]?.state;
  expect(await stateNow()).toBe("up");
  list = [];
  expect(await stateNow()).toBe("down");
  connectedAtMs = 4_000;
  expect(await stateNow()).toBe("unknown");
});

test("a queue about which the API cannot answer is unknown, the others are not", async () => {
  const management = scripted({
    seesAllConsumers: async () => false,
    consumersOf: async (queue) => {
      if (queue === "pair") throw new ManagementError("management_failed", "500");
      return [attached("ingest")];
    },
  });
  const seen = await look(management, 60_000, [ingest, pair]);
  expect(seen.map(({ state }) => state)).toEqual(["up", "up", "unknown", "unknown", "unknown"]);
});

test("an API that cannot be asked makes everything unknown, not down", async () => {
  const consumers = async () => await Promise.reject(new ManagementError("management_refused", "401"));
  const seen = await look(scripted({ consumers }), 60_000, [ingest, pair]);
  expect(seen).toHaveLength(5);
  for (const { state, reason } of seen)
    expect({ state, reason }).toEqual({ state: "unknown", reason: "management_refused" });
});
