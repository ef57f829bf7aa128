import { pino } from "pino";
import { describe, expect, test } from "vitest";
import type { Observation } from "../src/probe.ts";
import { type ConsumersOptions, consumersProbe } from "../src/probes/consumers.ts";
import { type Management, ManagementError } from "../src/probes/management.ts";
import type { QueueConsumer } from "../src/probes/management-answers.ts";
import { believe, unlooked } from "../src/belief.ts";
import { POLICY } from "./watched.ts";
import { passiveCounts } from "../src/probes/passive.ts";
import { inWords } from "./in-words.ts";
import { attached, bare, ingest, listener, pair, queueTarget } from "./queues.ts";

/** A port, not the library: what the real one does is in the integration test. */
function scripted(parts: Partial<Management> = {}): Management & { calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    get: async () => {
      throw new Error("nothing else is asked");
    },
    seesAllConsumers: async () => {
      calls.push("whoami");
      return true;
    },
    consumers: async () => {
      calls.push("consumers");
      return [attached("ingest")];
    },
    queues: async () => {
      calls.push("queues");
      return new Set(["ingest", "pair", "bare"]);
    },
    consumersOf: async (queue) => {
      calls.push(queue);
      return [];
    },
    close: () => {},
    ...parts,
  };
}

type OpenChannel = Parameters<typeof passiveCounts>[0];

const never = new AbortController().signal;
const soon = () => AbortSignal.timeout(1_000);

/** A probe whose connection is a minute old, with what it logs. */
function start({ openChannel, ...options }: Partial<ConsumersOptions> & { openChannel?: OpenChannel }) {
  const lines: string[] = [];
  const probe = consumersProbe({
    queues: [ingest],
    source: "management",
    management: scripted(),
    isManagementOfOurBroker: false,
    allQueues: options.queues ?? [ingest],
    count: passiveCounts(openChannel ?? (() => Promise.reject(new Error("the broker is not connected")))),
    patienceMs: 20,
    brokerConnectedAtMs: () => 0,
    now: () => 60_000,
    stopping: never,
    log: pino({ level: "info" }, { write: (line: string) => void lines.push(line) }),
    ...options,
  });
  const look = async (signal = never) => await probe.look(signal);
  return { look, lines, states: async (signal = never) => statesOf(await probe.look(signal)) };
}

function statesOf(observations: readonly Observation[]): string[] {
  return observations.map(({ state }) => state);
}

describe("by the management API", () => {
  test("when all is well, each look after the first is two calls for all queues", async () => {
    const management = scripted();
    const { look, states } = start({ management, queues: [ingest, bare] });
    await look();
    management.calls.length = 0;
    expect(await states()).toEqual(["up", "up", "up"]);
    expect(management.calls).toEqual(["consumers", "queues"]);
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
    const { look, states } = start({ management, queues: [pair] });
    await look();
    hasTag = false;
    expect(await states()).toEqual(["up", "up", "up"]);
  });

  test("a queue that is gone is down, whatever consumers are listed for it", async () => {
    let existing = new Set(["ingest"]);
    const { look, states } = start({ management: scripted({ queues: async () => existing }) });
    expect(await states()).toEqual(["up", "up"]);
    existing = new Set();
    expect(inWords(await look())).toEqual(Array(2).fill("down queue_missing"));
  });

  test.each([
    { what: "right after a connect", nowMs: 9_999, state: "unknown", reason: "list_empty_after_connect" },
    { what: "later", nowMs: 10_000, state: "down", reason: "consumer_missing" },
  ])("a list that is wholly empty $what is $state", async ({ nowMs, state, reason }) => {
    const { look } = start({ management: scripted({ consumers: async () => [] }), now: () => nowMs });
    expect(inWords(await look())).toEqual(Array(2).fill(`${state} ${reason}`));
  });

  test("a queue that expects no consumer is no reason for doubt", async () => {
    const management = scripted({ consumers: async () => [] });
    expect(await start({ management, queues: [bare], now: () => 1_000 }).states()).toEqual(["up"]);
  });

  test("once consumers have been seen, an empty list is true, until the connection is lost", async () => {
    let [connectedAtMs, list] = [0, [attached("ingest")]];
    const management = scripted({ consumers: async () => list });
    const { states } = start({ management, brokerConnectedAtMs: () => connectedAtMs, now: () => 5_000 });
    expect(await states()).toEqual(["up", "up"]);
    list = [];
    expect(await states()).toEqual(["down", "down"]);
    connectedAtMs = 4_000;
    expect(await states()).toEqual(["unknown", "unknown"]);
  });

  test("what was seen before the connect, or not answered, takes no doubt away", async () => {
    let connectedAtMs: number | undefined;
    let consumersOf = async (): Promise<QueueConsumer[]> => [attached("ingest")];
    const management = scripted({ seesAllConsumers: async () => false, consumersOf: () => consumersOf() });
    const { states } = start({ management, brokerConnectedAtMs: () => connectedAtMs, now: () => 5_000 });
    expect(await states()).toEqual(["up", "up"]);
    connectedAtMs = 4_000;
    consumersOf = () => Promise.reject(new ManagementError("management_failed", "500"));
    expect(await states()).toEqual(["unknown", "unknown"]);
    consumersOf = async () => [];
    expect(await states()).toEqual(["unknown", "unknown"]);
  });

  test("a queue about which the API cannot answer is unknown, the others are not", async () => {
    const management = scripted({
      seesAllConsumers: async () => false,
      consumersOf: async (queue) => {
        if (queue === "pair") throw new ManagementError("management_failed", "500");
        return [attached("ingest")];
      },
    });
    const { states } = start({ management, queues: [ingest, pair] });
    expect(await states()).toEqual(["up", "up", "unknown", "unknown", "unknown"]);
  });

  test.each(["consumers", "queues", "seesAllConsumers"] as const)(
    "an API that cannot be asked for %s makes everything unknown, not down, and the broker is not asked",
    async (call) => {
      const refused = async () => await Promise.reject(new ManagementError("management_refused", "401"));
      const { look } = start({
        management: scripted({ [call]: refused }),
        queues: [ingest, pair],
        openChannel: () => expect.unreachable(),
      });
      expect(inWords(await look())).toEqual(Array(5).fill("unknown management_refused"));
    },
  );
});

/** A broker that has so many consumers on each queue. */
function counting(consumerCount: number) {
  const asked: string[] = [];
  const checkQueue = async (queue: string) => {
    asked.push(queue);
    return { consumerCount };
  };
  return { asked, openChannel: async () => ({ checkQueue, close: async () => {} }) };
}

describe("by passive declares", () => {
  test("as many consumers as listeners, over all entries of a queue, are up with a reservation", async () => {
    const management = scripted();
    const twice = { queues: [ingest, ingest], source: "passive", management } as const;
    const enough = start({ ...twice, openChannel: counting(2).openChannel });
    expect(inWords(await enough.look())).toEqual(Array(4).fill("up tag_unchecked"));
    const tooFew = start({ ...twice, openChannel: counting(1).openChannel });
    expect(await tooFew.states()).toEqual(["down", "unknown", "down", "unknown"]);
    expect(management.calls).toEqual([]);
  });

  test("a connection that comes during the look is used", async () => {
    let asked = 0;
    const brokerConnectedAtMs = () => ((asked += 1) > 2 ? 0 : undefined);
    const openChannel = async () => {
      if (asked <= 2) throw new Error("the broker is not connected");
      return await counting(1).openChannel();
    };
    const { states } = start({ source: "passive", openChannel, brokerConnectedAtMs, patienceMs: 5_000 });
    expect(await states()).toEqual(["up", "up"]);
  });

  test("without a connection to the broker nothing is known", async () => {
    const { look } = start({ source: "passive", brokerConnectedAtMs: () => undefined });
    expect(inWords(await look())).toEqual(Array(2).fill("unknown broker_not_connected"));
  });
});

describe("by the management API, or else by passive declares", () => {
  const failing = async () =>
    await Promise.reject(new ManagementError("management_unreachable", "ECONNREFUSED"));
  const auto = { source: "auto", queues: [ingest] } as const;

  test("while the API answers, the broker is not asked", async () => {
    const { states } = start({ ...auto, openChannel: () => expect.unreachable() });
    expect(await states()).toEqual(["up", "up"]);
  });

  test.each([
    { count: 0, state: "down", reason: "consumer_missing" },
    { count: 1, state: "unknown", reason: "management_unreachable" },
    { count: 9, state: "unknown", reason: "management_unreachable" },
  ])("without the API, $count consumers are $state: $reason", async ({ count, state, reason }) => {
    const management = scripted({ seesAllConsumers: failing });
    const { look } = start({ ...auto, management, openChannel: counting(count).openChannel });
    expect(inWords(await look())).toEqual(Array(2).fill(`${state} ${reason}`));
  });

  test("only the queues that the API says nothing about are counted", async () => {
    const { asked, openChannel } = counting(0);
    const management = scripted({
      seesAllConsumers: async () => false,
      consumersOf: async (queue) => (queue === "pair" ? await failing() : [attached("ingest")]),
    });
    const { states } = start({ ...auto, queues: [ingest, pair], management, openChannel });
    expect(await states()).toEqual(["up", "up", "down", "down", "down"]);
    expect(asked).toEqual(["pair"]);
  });

  test("an API that never answers leaves time for the count", async () => {
    const silent = async (signal: AbortSignal) =>
      await new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(new ManagementError("timeout", "no answer in time"))),
      );
    const management = scripted({ seesAllConsumers: silent });
    const { states } = start({ ...auto, management, openChannel: counting(0).openChannel });
    expect(await states(AbortSignal.timeout(100))).toEqual(["down", "down"]);
  });

  test("an API that answers late is still believed rather than the count", async () => {
    const { asked, openChannel } = counting(0);
    const counted = () => asked.length > 0;
    const late = async () => {
      await expect.poll(counted).toBe(true);
      return [attached("ingest")];
    };
    const { states } = start({ ...auto, management: scripted({ consumers: late }), openChannel });
    expect(await states(soon())).toEqual(["up", "up"]);
  });

  test("one look without the API takes nothing back that is up; two are believed", async () => {
    let list: Management["consumers"] = async () => [attached("ingest")];
    const management = scripted({ consumers: (signal) => list(signal) });
    const { look } = start({ ...auto, management, openChannel: counting(1).openChannel });
    let belief = unlooked(0);
    let nowMs = 0;
    const believed = async () => {
      const [seen] = await look();
      nowMs += POLICY.confirm.pauseMs;
      const moment = { wallMs: nowMs, monotonicMs: nowMs };
      belief = believe(belief, seen ?? { state: "unknown" }, moment, POLICY);
      return belief.state;
    };
    expect(await believed()).toBe("up");
    list = failing;
    expect(await believed()).toBe("up");
    list = async () => [attached("ingest")];
    expect(await believed()).toBe("up");
    list = failing;
    expect([await believed(), await believed()]).toEqual(["up", "unknown"]);
    list = async () => [attached("ingest")];
    expect(await believed()).toBe("up");
  });

  test("an outage of the API is told once, with its cause and what is done, and its end once", async () => {
    let list: Management["consumers"] = failing;
    const management = scripted({ consumers: (signal) => list(signal) });
    const { look, lines } = start({ ...auto, management });
    for (let looks = 0; looks < 3; looks += 1) await look();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/management API unavailable/);
    expect(lines[0]).toMatch(/ECONNREFUSED; consumers are counted by passive declares meanwhile/);
    list = async () => [attached("ingest")];
    for (let looks = 0; looks < 3; looks += 1) await look();
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/management API available again/);
  });

  test("another cause in the same outage is told as well, and one queue alone is an outage", async () => {
    let problem: ManagementError | undefined = new ManagementError("management_refused", "it answered 401");
    const consumersOf = async (queue: string) => {
      if (problem && queue === "ingest") throw problem;
      return [];
    };
    const management = scripted({ seesAllConsumers: async () => false, consumersOf });
    const { look, lines } = start({ source: "management", queues: [ingest, pair], management });
    await look();
    problem = new ManagementError("tls_failed", "the certificate of mq expired");
    await look();
    problem = undefined;
    await look();
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/it answered 401".*management API unavailable/);
    expect(lines[1]).toMatch(/the certificate of mq expired".*management API still unavailable/);
    expect(lines[2]).toMatch(/available again/);
  });

  test("what the count says is no end of the outage, and what the API says no beginning", async () => {
    const { openChannel } = counting(0);
    const failed = start({ ...auto, management: scripted({ consumers: failing }), openChannel });
    for (let looks = 0; looks < 3; looks += 1) expect(await failed.states()).toEqual(["down", "down"]);
    expect(failed.lines).toHaveLength(1);
    const well = start({ ...auto, management: scripted({ consumers: async () => [attached("other")] }) });
    expect(await well.states()).toEqual(["down", "down"]);
    expect(well.lines).toEqual([]);
  });

  test("a look that our own stop cuts off is no outage", async () => {
    const stopping = AbortSignal.abort();
    const { look, lines } = start({ ...auto, management: scripted({ consumers: failing }), stopping });
    await look();
    expect(lines).toEqual([]);
  });
});

test("a count is of all entries of a queue, also of those that are looked at at other times", async () => {
  const listeners = (name: string) => [listener(name, name)];
  const one = queueTarget("q", listeners("a"));
  const other = queueTarget("q", listeners("b"));
  const { states } = start({
    queues: [one],
    allQueues: [one, other],
    source: "passive",
    openChannel: counting(1).openChannel,
  });
  expect(await states()).toEqual(["down", "unknown"]);
});
