import { describe, expect, test } from "vitest";
import { doubleEvents, inventedEvents, lostChanges, type Told, untoldSpans } from "../invariants/events.ts";
import { healthProblems, isTruth, type WatchedComponent } from "../invariants/health.ts";
import { growth } from "../invariants/memory.ts";
import { outageProblems } from "../invariants/outages.ts";
import { type Timeline, timeline, mayHaveBeen } from "../invariants/timeline.ts";

/** One message of a boot that tells of one service. */
function told(sequence: number, state: string, since: string, bootId = "boot"): Told {
  const components = [{ kind: "service", name: "db", state, since }];
  return { site: "north", bootId, sequence, sentAt: "", components };
}

const event = (state: string, since: string, id = `${since}-0`) => ({
  id,
  site: "north",
  kind: "service",
  name: "db",
  state,
  since,
});

describe("events", () => {
  const messages = [told(3, "up", "3"), told(1, "up", "1"), told(2, "down", "2")];

  test("are complete when each change within a boot is one, in whatever order it was heard", () => {
    const complete = [event("up", "3"), event("down", "2")];
    expect(lostChanges(messages, [{ standing: complete, seen: [] }])).toEqual([]);
    expect(
      lostChanges(
        messages,
        complete.map((standing) => ({ standing: [standing], seen: [] })),
      ),
    ).toEqual([]);
    expect(lostChanges(messages, [{ standing: [event("up", "1"), event("up", "3")], seen: [] }])).toEqual([
      "north: service db down since 2",
    ]);
  });

  describe("are given up by a full stream", () => {
    const seen = [event("down", "2", "20-1"), event("up", "3", "30-1")];
    const full = Array.from({ length: 1_000 }, (_, index) => event("up", "9", `30-${index + 2}`));

    test("as soon as others have come", () => {
      const emptiedBefore = { standing: [event("up", "1", "5-0")], seen: [] };
      expect(lostChanges(messages, [emptiedBefore, { standing: full, seen }])).toEqual([]);
    });

    test("but not before they were there, nor where older ones stand, nor by one that has room", () => {
      expect(lostChanges(messages, [{ standing: full, seen: [] }])).toHaveLength(2);
      const older = [event("up", "1", "20-0"), ...full];
      expect(lostChanges(messages, [{ standing: older, seen }])).toHaveLength(2);
      expect(lostChanges(messages, [{ standing: full.slice(-10), seen }])).toHaveLength(2);
      expect(lostChanges(messages, [{ standing: [], seen }])).toHaveLength(2);
    });
  });

  test("need not tell of what a new boot begins with, nor of the same state with another beginning", () => {
    expect(lostChanges([told(1, "up", "1"), told(2, "up", "2"), told(1, "down", "3", "next")], [])).toEqual(
      [],
    );
  });

  test("are each there once, whatever becomes of the site", () => {
    const silence = { site: "north", kind: "site", name: "north", state: "silent", since: "9" };
    expect(doubleEvents([event("up", "1"), event("down", "2"), event("up", "3"), silence])).toEqual([]);
    expect(doubleEvents([event("up", "1"), event("up", "1")])).toEqual([
      "north: service db up since 1 (2 times)",
    ]);
  });

  test("tell of all that lasted long enough to be seen", () => {
    const truth = timeline("up", 0);
    truth.became("down", 10_000);
    truth.became("up", 12_000);
    truth.became("down", 20_000);
    truth.became("up", 24_000);
    const spans = truth.spansBetween(5_000, 30_000);
    const down = event("down", new Date(20_500).toISOString());
    const up = event("up", new Date(12_100).toISOString());
    expect(untoldSpans(down, spans, [down, up])).toEqual([]);
    expect(untoldSpans(down, spans, [up])).toEqual([
      expect.stringContaining("was down from 1970-01-01T00:00:20"),
    ]);
  });

  test("are told by somebody, but for those of the site", () => {
    const silence = { site: "north", kind: "site", name: "north", state: "silent", since: "9" };
    expect(inventedEvents(messages, [event("up", "1"), silence], [])).toEqual([]);
    expect(inventedEvents(messages, [event("down", "7")], [])).toEqual(["north: service db down since 7"]);
    const since = "2026-11-22T10:34:56.100Z";
    const deaf = [{ fromMs: Date.parse(since) - 1, toMs: Date.parse(since) + 1 }];
    expect(inventedEvents(messages, [event("down", since)], deaf)).toEqual([]);
  });
});

describe("an answer of /health", () => {
  const answer = (state: string, siteState = "fresh", code = 503) => ({
    code,
    status: "",
    problems: [],
    warnings: [],
    sites: [
      {
        site: "north",
        state: siteState,
        deadline: "",
        components: [{ kind: "service", name: "db", state, since: "" }],
      },
    ],
  });
  const components = (truth: Timeline): WatchedComponent[] => [
    { site: "north", kind: "service", name: "db", truths: [truth], isHost: true, allowedMs: 10_000 },
  ];
  const sample = (health: ReturnType<typeof answer>) => ({
    askedAtMs: 100_000,
    answeredAtMs: 100_010,
    health,
  });

  /** Up from the beginning, down since then. */
  function downSince(atMs: number): Timeline {
    const truth = timeline("up", 0);
    truth.became("down", atMs);
    return truth;
  }

  test.each([
    { name: "up, and down for less than allowed", told: "up", downSinceMs: 90_001, problems: 0 },
    { name: "up, and down for longer", told: "up", downSinceMs: 89_999, problems: 1 },
    { name: "down, as it is", told: "down", downSinceMs: 50_000, problems: 0 },
    { name: "down, and it is up", told: "down", downSinceMs: 200_000, problems: 1 },
    { name: "unknown, which is never wrong", told: "unknown", downSinceMs: 50_000, problems: 0 },
  ])("may be late but not wrong: $name", ({ told, downSinceMs, problems }) => {
    const truth = components(downSince(downSinceMs));
    expect(healthProblems(sample(answer(told)), truth)).toHaveLength(problems);
  });

  test("says nothing of a silent site, and may not be 200 then", () => {
    const truth = components(downSince(50_000));
    expect(healthProblems(sample(answer("up", "silent")), truth)).toEqual([]);
    expect(healthProblems(sample(answer("up", "silent", 200)), truth)).toHaveLength(1);
  });

  test("is not 200 without each component", () => {
    const nothing = { ...answer("up", "fresh", 200), sites: [] };
    expect(healthProblems(sample(nothing), components(timeline("up", 0)))).toHaveLength(1);
  });

  test("is the truth when each component is as it is now", () => {
    expect(isTruth(answer("up"), components(timeline("up", 0)))).toBe(true);
    expect(isTruth(answer("down"), components(timeline("up", 0)))).toBe(false);
    expect(isTruth(answer("up", "silent"), components(timeline("up", 0)))).toBe(false);
  });
});

test("of several members each may be seen at another moment, and the worst counts", () => {
  const [one, other] = [timeline("up", 0), timeline("up", 0)];
  one.became("down", 10);
  other.became("down", 20);
  one.became("up", 30);
  expect(mayHaveBeen("up", [one, other], 10, 29)).toBe(false);
  expect(mayHaveBeen("up", [one, other], 10, 30)).toBe(true);
  expect(mayHaveBeen("up", [one, other], 20, 40)).toBe(false);
  expect(mayHaveBeen("down", [one, other], 0, 9)).toBe(false);
  expect(mayHaveBeen("down", [one, other], 0, 10)).toBe(true);
});

describe("an outage", () => {
  const window = {
    fault: "broker killed",
    subjects: ["broker"],
    certain: [],
    mostOutages: 1,
    fromMs: 100,
    toMs: 200,
    graceMs: 50,
  };
  const life = { needs: ["broker"], fromMs: 0, toMs: 1_000 };
  const line = (time: number, msg: string) => ({ level: 40, time, msg });
  const [away, still, back] = ["broker unavailable", "broker still unavailable", "broker available again"];

  test.each([
    { name: "once, with its end", lines: [line(110, away), line(120, still), line(190, back)], problems: [] },
    {
      name: "twice without an end between",
      lines: [line(110, away), line(120, away)],
      problems: [/twice before/, /told as 2/],
    },
    {
      name: "as two",
      lines: [line(110, away), line(120, back), line(130, away), line(140, back)],
      problems: [/told as 2/],
    },
    { name: "a little after all is well", lines: [line(230, away), line(260, back)], problems: [] },
    { name: "when there was none", lines: [line(300, away)], problems: [/nobody made/] },
    { name: "of something else", lines: [line(110, "redis unavailable")], problems: [/nobody made/] },
    { name: "only at its end", lines: [line(110, back)], problems: [/but not to be away/] },
  ])("told $name", ({ lines, problems }) => {
    expect(outageProblems(lines, [window], life)).toEqual(
      problems.map((problem) => expect.stringMatching(problem)),
    );
  });

  test("is told as often as it was made", () => {
    const two = [line(110, away), line(120, back), line(130, away), line(140, back)];
    const three = [...two, line(150, away), line(160, back)];
    const flapping = { ...window, mostOutages: 2 };
    expect(outageProblems(two, [flapping], life)).toEqual([]);
    expect(outageProblems(three, [flapping], life)).toEqual([expect.stringMatching(/told as 3/)]);
  });

  test.each([
    { name: "is told", lines: [line(110, away), line(190, back)], life, problems: 0 },
    { name: "began before, and goes on", lines: [line(90, away)], life, problems: 0 },
    { name: "is not told", lines: [], life, problems: 1 },
    { name: "is not told by who began in its midst", lines: [], life: { ...life, fromMs: 150 }, problems: 0 },
    {
      name: "is not told by who does not need it",
      lines: [],
      life: { ...life, needs: ["redis"] },
      problems: 0,
    },
  ])("must be told where it is certain: one that $name", ({ lines, life, problems }) => {
    const certain = { ...window, certain: ["broker"] };
    const untold = outageProblems(lines, [certain], life).filter((problem) =>
      problem.includes("nothing is told"),
    );
    expect(untold).toHaveLength(problems);
  });
});

describe("memory", () => {
  const megabytes = (count: number, from: number, to: number) =>
    Array.from({ length: count }, (_, index) => (from + ((to - from) * index) / count) * 2 ** 20);

  test.each([
    { name: "that stays", samples: megabytes(200, 80, 80), isFlat: true },
    { name: "that grows by little", samples: megabytes(200, 80, 90), isFlat: true },
    { name: "that leaks", samples: megabytes(200, 80, 120), isFlat: false },
    {
      name: "of a start that takes much",
      samples: [...megabytes(50, 10, 200), ...megabytes(150, 90, 90)],
      isFlat: true,
    },
    { name: "of too short a life", samples: megabytes(20, 10, 1_000), isFlat: undefined },
  ])("$name", ({ samples, isFlat }) => {
    expect(growth(samples)?.isFlat).toBe(isFlat);
  });
});
