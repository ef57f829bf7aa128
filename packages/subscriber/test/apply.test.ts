import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import { describe, expect, test } from "vitest";
import { type Applied, applyHeartbeat } from "../src/apply.ts";
import { applySilence, isFromTheFuture, withoutFuture } from "../src/passing-time.ts";
import { isContested } from "../src/order.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { component, heartbeat, receipt, rules } from "./heartbeats.ts";

const T = 1_000_000;

function apply(
  before: SiteRecord | undefined,
  message: ReceivedHeartbeat,
  receivedAtMs = message.sentAtMs,
): Applied {
  return applyHeartbeat(before, message, "tsd", receipt(receivedAtMs), rules);
}

/** The record after the heartbeats, each received when it was sent. */
function recordAfter(...messages: Partial<ReceivedHeartbeat>[]): SiteRecord {
  let record: SiteRecord | undefined;
  for (const message of messages) record = apply(record, heartbeat(message)).record;
  if (!record) throw new Error("nothing was applied");
  return record;
}

describe("order", () => {
  const current = recordAfter({ sequence: 5, sentAtMs: T });
  const deadlineMs = T + 150_000;

  test.each([
    { what: "the next of the boot", message: { sequence: 6 }, outcome: "applied" },
    { what: "a later one of the boot after a gap", message: { sequence: 60 }, outcome: "applied" },
    { what: "the same again", message: { sequence: 5 }, outcome: "duplicate" },
    { what: "an earlier one of the boot", message: { sequence: 4 }, outcome: "late" },
    {
      what: "an earlier one with a later clock",
      message: { sequence: 4, sentAtMs: T + 60_000 },
      outcome: "late",
    },
    {
      what: "the next with the clock set back",
      message: { sequence: 6, sentAtMs: T - 60_000 },
      outcome: "applied",
    },
    { what: "a new boot", message: { bootId: "new", sentAtMs: T }, outcome: "applied" },
    {
      what: "a new boot whose clock is behind",
      message: { bootId: "new", sentAtMs: T - 1 },
      outcome: "other-boot",
    },
    {
      what: "a new boot whose clock is behind, once the current one is silent",
      message: { bootId: "new", sentAtMs: T - 1 },
      receivedAtMs: deadlineMs + 1,
      outcome: "applied",
    },
    { what: "back-fill", message: { sequence: 6, cause: "backfill" as const }, outcome: "backfill" },
  ])("$what: $outcome", ({ message, receivedAtMs, outcome }) => {
    const applied = apply(current, heartbeat(message), receivedAtMs ?? T);
    expect(applied.outcome).toBe(outcome);
    // Who speaks beside it may leave a mark, but changes nothing that it said.
    if (outcome !== "applied") expect({ ...applied.record, boots: current.boots }).toEqual(current);
  });

  test("in format 1 an equal sequence is applied: upstream's times have whole seconds", () => {
    const first = recordAfter({ format: 1, bootId: "2026", sequence: T });
    expect(apply(first, heartbeat({ format: 1, bootId: "2026", sequence: T })).outcome).toBe("applied");
    expect(apply(first, heartbeat({ format: 1, bootId: "2026", sequence: T - 1_000 })).outcome).toBe("late");
  });

  test("a boot that was replaced does not come back while the new one speaks, and does when it falls silent", () => {
    const replaced = recordAfter({ sequence: 5 }, { bootId: "new", sentAtMs: T + 1_000 });
    const old = heartbeat({ sequence: 6, sentAtMs: T + 60_000 });
    expect(apply(replaced, old, T + 60_000).outcome).toBe("other-boot");
    const afterItsDeadlineMs = replaced.deadlineMs + 1;
    expect(apply(replaced, old, afterItsDeadlineMs).outcome).toBe("applied");
    const missed = heartbeat({ sequence: 4 });
    expect(apply(replaced, missed, afterItsDeadlineMs).outcome).toBe("other-boot");
    const replay = heartbeat({ sequence: 5 });
    expect(apply(replaced, replay, afterItsDeadlineMs).outcome).toBe("duplicate");
  });

  test("a clock far ahead does not lock out the next boot", () => {
    const ahead = apply(undefined, heartbeat({ sentAtMs: T + 3_600_000 }), T).record;
    expect(apply(ahead, heartbeat({ bootId: "new", sentAtMs: T + 1_000 }), T + 1_000).outcome).toBe(
      "applied",
    );
  });

  test("only so many boots are remembered, the last ones", () => {
    const boots = Array.from({ length: 200 }, (_, index) => ({
      bootId: `boot-${index}`,
      sentAtMs: T + index,
    }));
    const record = recordAfter(...boots);
    expect(record.boots).toHaveLength(64);
    expect(record.boots.at(-1)?.bootId).toBe("boot-199");
  });
});

describe("two publishers for one site", () => {
  const MINUTE_MS = 60_000;
  const a = (sequence: number, minute: number) => said("a", sequence, minute);
  const b = (sequence: number, minute: number) => said("b", sequence, minute);

  function said(bootId: string, sequence: number, minute: number): Partial<ReceivedHeartbeat> {
    const sentAtMs = T + minute * MINUTE_MS;
    const uptimeMs = minute * MINUTE_MS + 1_000;
    return {
      bootId,
      sequence,
      sentAtMs,
      uptimeMs,
      components: [component({ name: bootId, observedAtMs: sentAtMs })],
    };
  }

  test.each([
    {
      what: "both go on",
      messages: [a(1, 0), b(1, 0.5), a(2, 1), b(2, 1.5), a(3, 2), b(3, 2.5), a(4, 3)],
      minute: 3,
      contested: true,
    },
    {
      what: "for less than two intervals",
      messages: [a(1, 0), b(1, 0.5), a(2, 1), b(2, 1.5), a(3, 2), b(3, 2.4)],
      minute: 2.4,
      contested: false,
    },
    {
      what: "until the other one has fallen silent",
      messages: [a(1, 0), b(1, 0.5), b(2, 1.5), a(4, 3), b(3, 4), b(4, 5.5)],
      minute: 5.6,
      contested: false,
    },
    {
      what: "a rolling update",
      messages: [a(1, 0), b(1, 0.5), a(2, 0.6), b(2, 1.5), b(3, 2.5)],
      minute: 3,
      contested: false,
    },
    {
      what: "quick restarts, each taking over once",
      messages: [a(1, 0), b(1, 0.2), said("c", 1, 0.4), said("d", 1, 0.6), said("d", 2, 3)],
      minute: 3,
      contested: false,
    },
    {
      what: "a redelivery of the old one",
      messages: [a(1, 0), a(2, 1), b(1, 1.5), b(2, 2.5), b(3, 3.5), a(2, 1)],
      minute: 4,
      contested: false,
    },
    {
      what: "a successor that crashed at once",
      messages: [a(1, 0), b(1, 0.5), a(2, 1), a(3, 2), a(4, 2.9)],
      minute: 2.9,
      contested: false,
    },
  ])("$what: contested is $contested", ({ messages, minute, contested }) => {
    expect(isContested(recordAfter(...messages), T + minute * MINUTE_MS)).toBe(contested);
  });

  test.each([5_000, 40_000, 600_000])(
    "show, although the other one is %i ms behind and never counts",
    (behindMs) => {
      const behind = (sequence: number, minute: number) => ({
        ...b(sequence, minute),
        sentAtMs: T + minute * MINUTE_MS - behindMs,
      });
      let record = recordAfter(a(1, 0), a(2, 1));
      for (let minute = 1; minute < 5; minute += 1) {
        record =
          apply(record, heartbeat(behind(minute, minute + 0.05)), T + (minute + 0.05) * MINUTE_MS).record ??
          record;
        record =
          apply(record, heartbeat(a(minute + 2, minute + 1)), T + (minute + 1) * MINUTE_MS).record ?? record;
      }
      expect({ bootId: record.bootId, isContested: isContested(record, T + 5 * MINUTE_MS) }).toEqual({
        bootId: "a",
        isContested: true,
      });
    },
  );

  test("of many that never counted only a few are remembered, and none that did is forgotten for them", () => {
    let record = recordAfter(a(1, 0), b(1, 0.5));
    for (let index = 0; index < 100; index += 1) {
      const other = heartbeat({ ...said(`other-${index}`, 1, 0), sentAtMs: T - 1 });
      record = apply(record, other, T + MINUTE_MS).record ?? record;
    }
    expect(record.boots.map(({ bootId }) => bootId)).toEqual([
      "a",
      "other-96",
      "other-97",
      "other-98",
      "other-99",
      "b",
    ]);
  });

  test("nothing is removed meanwhile, and what is not reported goes when it is over", () => {
    const both = { components: [component({ name: "b" }), component({ name: "extra" })] };
    const until = [a(1, 0), b(1, 0.5), { ...b(2, 1.5), ...both }, a(2, 3)];
    const names = (record: SiteRecord) => record.components.map(({ name }) => name);
    expect(names(recordAfter(...until, b(3, 3.2)))).toEqual(["b", "extra"]);
    expect(names(recordAfter(...until, b(3, 3.2), b(4, 6)))).toEqual(["b"]);
  });

  test("what waited in the queue for us shows nothing", () => {
    const replaced = recordAfter(a(1, 0), b(1, 0.5), b(2, 1.5));
    const late = { ...heartbeat(a(3, 0.6)) };
    const waited = receipt(T + 5 * MINUTE_MS, { hasWaited: true });
    const { record } = applyHeartbeat({ ...replaced, deadlineMs: Infinity }, late, "tsd", waited, rules);
    expect(record?.boots.map(({ heardSince }) => heardSince)).toEqual([undefined, undefined]);
  });

  test("a crashed successor hands back within its deadline and an interval", () => {
    const record = recordAfter(a(1, 0), b(1, 0.5), a(2, 1), a(3, 2), a(4, 3), a(5, 4));
    expect(record).toMatchObject({ bootId: "a", sequence: 5 });
    expect(isContested(record, T + 4 * MINUTE_MS)).toBe(false);
  });
});

describe("freshness", () => {
  test("news is as old as it says, and the deadline follows from its interval", () => {
    const { record } = apply(undefined, heartbeat({ sentAtMs: T, intervalMs: 10_000 }), T + 3_600_000);
    expect(record).toMatchObject({ freshAtMs: T, deadlineMs: T + 25_000, receivedAtMs: T + 3_600_000 });
  });

  test("news from a clock that is ahead is no newer than its receipt", () => {
    expect(apply(undefined, heartbeat({ sentAtMs: T + 600_000 }), T).record?.freshAtMs).toBe(T);
  });

  test("without an announced interval the expected one counts", () => {
    const { record } = apply(undefined, heartbeat({ format: 1, intervalMs: undefined }), T);
    expect(record?.deadlineMs).toBe(T + 150_000);
  });
});

describe("news that is in order", () => {
  test("is never older than what came before it: a publisher ten minutes behind restarts without an alarm", () => {
    const behindMs = -600_000;
    const beat = (bootId: string, sequence: number, atMs: number) =>
      [
        { ...heartbeat({ bootId, sequence, sentAtMs: T + atMs + behindMs, uptimeMs: sequence * 60_000 }) },
        T + atMs,
      ] as const;
    let record: SiteRecord | undefined;
    for (const [message, atMs] of [beat("a", 1, 0), beat("a", 2, 60_000), beat("b", 1, 80_000)]) {
      record = apply(record, message, atMs).record;
    }
    expect(record).toMatchObject({ bootId: "b", freshAtMs: T + 60_000, deadlineMs: T + 210_000 });
    const [next, atMs] = beat("b", 2, 140_000);
    expect(apply(record, next, atMs).record?.freshAtMs).toBe(atMs);
  });

  test("of unknown age is no news", () => {
    const waited = receipt(T, { hasWaited: true });
    const { record } = applyHeartbeat(undefined, heartbeat({ sentAtMs: T + 600_000 }), "tsd", waited, rules);
    expect(record?.deadlineMs).toBeLessThan(T);
  });

  test("voids what was believed of a clock that turns out to be ahead", () => {
    // Dead for five minutes, ten minutes ahead: the last one that seems old enough to be believed looks two minutes old.
    const waited = receipt(T, { hasWaited: true });
    let record: SiteRecord | undefined;
    for (let minute = 0; minute < 16; minute += 1) {
      const sentAtMs = T + (minute - 20 + 10) * 60_000;
      const message = heartbeat({ sequence: minute + 1, sentAtMs, uptimeMs: minute * 60_000 });
      record = applyHeartbeat(record, message, "tsd", waited, rules).record;
    }
    expect(record?.deadlineMs).toBeLessThan(T);
  });

  test("is of unknown age when it waited and its clock was set forward meanwhile", () => {
    for (const format of [1, 2] as const) {
      const beat = (minute: number, aheadMs: number, bootId = "a") => {
        const sentAtMs = T + minute * 60_000 + aheadMs;
        const uptimeMs = format === 2 ? minute * 60_000 : undefined;
        const sequence = format === 2 ? minute + 1 : sentAtMs;
        return heartbeat({
          format,
          bootId,
          sequence,
          sentAtMs,
          uptimeMs,
          ...(format === 1 && { intervalMs: undefined }),
        });
      };
      let record: SiteRecord | undefined;
      for (const minute of [0, 1, 2, 3]) record = apply(record, beat(minute, 0), T + minute * 60_000).record;
      // In format 2 only a restart makes the wall clock count.
      const bootId = format === 2 ? "b" : "a";
      const backMs = T + 13 * 60_000;
      // Some seem to be a minute or two old.
      for (const minute of [1.1, 1.6, 2.1, 2.6, 4, 5, 6]) {
        const message = beat(minute, 600_000, bootId);
        record = applyHeartbeat(record, message, "tsd", receipt(backMs, { hasWaited: true }), rules).record;
      }
      expect(record?.deadlineMs, `format ${format}`).toBeLessThan(backMs);
    }
  });

  test("that claims to be of a time to come is no news", () => {
    const record = recordAfter({ sentAtMs: T });
    expect([T - 10_000, T - 10_001].map((nowMs) => isFromTheFuture(record, nowMs))).toEqual([false, true]);
    const earlierMs = T - 500_000;
    const now = withoutFuture(record, earlierMs);
    expect(now.deadlineMs).toBeLessThan(earlierMs);
    expect(isFromTheFuture(now, earlierMs)).toBe(false);
    const next = heartbeat({ sequence: 2, sentAtMs: earlierMs + 1_000, uptimeMs: 61_000 });
    expect(apply(now, next, earlierMs + 1_000).record?.freshAtMs).toBe(earlierMs + 1_000);
  });

  test("that is past its deadline ends no silence", () => {
    const silent = applySilence(recordAfter({ sentAtMs: T, sequence: 1 }), T + 150_400);
    const old = heartbeat({ sequence: 2, sentAtMs: T + 10_000, uptimeMs: 11_000 });
    expect(apply(silent, old, T + 3_600_000).record).toMatchObject({
      isSilenceWritten: true,
      deadlineMs: T + 160_000,
    });
  });

  test("a clock of ours that was set voids what was learned of theirs", () => {
    const minutes = [0, 1, 2].map((minute) => ({
      sequence: minute + 1,
      sentAtMs: T + minute * 60_000,
      uptimeMs: minute * 60_000,
    }));
    const known = recordAfter(...minutes);
    const next = heartbeat({ sequence: 4, sentAtMs: T + 4_180_000, uptimeMs: 180_000 });
    const setAtMs = T + 4_170_000;
    const heard = (clockSetAtMs: number) =>
      applyHeartbeat(known, next, "tsd", receipt(T + 4_180_000, { clockSetAtMs }), rules).record?.freshAtMs;
    expect(heard(0)).toBe(T + 180_000 + 406);
    expect(heard(setAtMs)).toBe(T + 4_180_000);
  });
});

describe("the interval of heartbeats that announce none", () => {
  const gaps = (...gapsMs: number[]): SiteRecord => {
    let atMs = T;
    const times = [T, ...gapsMs.map((gapMs) => (atMs += gapMs))];
    return recordAfter(
      ...times.map((sentAtMs) => ({
        format: 1 as const,
        bootId: "2026",
        sequence: sentAtMs,
        sentAtMs,
        intervalMs: undefined,
        uptimeMs: undefined,
      })),
    );
  };

  test.each([
    { what: "one gap tells nothing", gapsMs: [300_000], intervalMs: 60_000 },
    { what: "of two the smaller", gapsMs: [300_000, 310_000], intervalMs: 300_000 },
    {
      what: "the median, so that a pause is none",
      gapsMs: [300_000, 9_000_000, 310_000],
      intervalMs: 310_000,
    },
    {
      what: "no pauses, which are of any length",
      gapsMs: [3_600_000, 7_200_000, 60_000],
      intervalMs: 60_000,
    },
    { what: "nothing longer than a day", gapsMs: [90_000_000, 90_000_000, 90_000_000], intervalMs: 60_000 },
    { what: "never less than the expected one", gapsMs: [5_000, 5_000, 5_000], intervalMs: 60_000 },
    {
      what: "of the last five",
      gapsMs: [...Array<number>(9).fill(300_000), ...Array<number>(9).fill(90_000)],
      intervalMs: 90_000,
    },
  ])("$what", ({ gapsMs, intervalMs }) => {
    expect(gaps(...gapsMs)).toMatchObject({ intervalMs });
  });

  test("outlives a restart, whose pause does not count", () => {
    const before = gaps(300_000, 300_000);
    const atMs = before.newestSentAtMs + 9_000_000;
    const restarted = heartbeat({
      format: 1,
      bootId: "2027",
      sequence: atMs,
      sentAtMs: atMs,
      intervalMs: undefined,
      uptimeMs: undefined,
    });
    expect(apply(before, restarted).record).toMatchObject({
      intervalMs: 300_000,
      gapsMs: [300_000, 300_000],
    });
  });
});

test("a format-1 clock that was set back is followed at the third message that comes at the right pace", () => {
  const MINUTE_MS = 60_000;
  const beat = (minute: number, aheadMs: number) => {
    const sentAtMs = T + minute * MINUTE_MS + aheadMs;
    return heartbeat({
      format: 1,
      bootId: "2026",
      sequence: sentAtMs,
      sentAtMs,
      intervalMs: undefined,
      uptimeMs: undefined,
    });
  };
  let record: SiteRecord | undefined;
  const outcomes = [0, 1, 2, 3, 4, 5, 6].map((minute) => {
    const applied = apply(record, beat(minute, minute < 3 ? 0 : -10 * MINUTE_MS), T + minute * MINUTE_MS);
    record = applied.record;
    return applied.outcome;
  });
  expect(outcomes).toEqual(["applied", "applied", "applied", "late", "late", "applied", "applied"]);
  expect(record?.freshAtMs).toBe(T + 6 * MINUTE_MS);
});

describe("components", () => {
  test("stay through a goodbye that names none", () => {
    const { components, cause } = recordAfter(
      { sequence: 1 },
      { sequence: 2, cause: "goodbye", components: [] },
    );
    expect({ names: components.map(({ name }) => name), cause }).toEqual({ names: ["db"], cause: "goodbye" });
  });

  test("a state keeps its beginning while it lasts, through restarts, each of which says another one", () => {
    const { components } = recordAfter(
      { sequence: 1, components: [component({ sinceMs: 900_000 })] },
      { bootId: "new", components: [component({ sinceMs: 950_000 })] },
      { bootId: "new", sequence: 2, components: [component({ sinceMs: 950_000, observedAtMs: 1_060_000 })] },
    );
    expect(components).toMatchObject([{ sinceMs: 900_000, observedAtMs: 1_060_000 }]);
  });

  test("another beginning of the same state within a boot means that there was another state in between", () => {
    const { components } = recordAfter(
      { sequence: 1, components: [component({ sinceMs: 900_000 })] },
      { sequence: 2, components: [component({ sinceMs: 950_000, observedAtMs: 1_060_000 })] },
    );
    expect(components).toMatchObject([{ sinceMs: 950_000, observedAtMs: 1_060_000 }]);
  });

  test("another state has a beginning of its own, and the failure is remembered", () => {
    const { components } = recordAfter(
      { sequence: 1 },
      {
        sequence: 2,
        components: [component({ state: "down", sinceMs: 1_050_000, observedAtMs: 1_060_000 })],
      },
      { sequence: 3, components: [component({ state: "up", sinceMs: 1_100_000, observedAtMs: 1_120_000 })] },
    );
    expect(components).toMatchObject([{ state: "up", sinceMs: 1_100_000, lastFailedMs: 1_060_000 }]);
  });

  test("a component that is no longer reported is gone", () => {
    const { components } = recordAfter(
      { sequence: 1, components: [component(), component({ name: "old" })] },
      { sequence: 2, components: [component()] },
    );
    expect(components.map(({ name }) => name)).toEqual(["db"]);
  });

  test("silence is a failure of everything, at the deadline", () => {
    const silent = applySilence(recordAfter({ sentAtMs: T }), T + 150_400);
    expect(silent.isSilenceWritten).toBe(true);
    expect(silent.components).toMatchObject([{ state: "up", lastFailedMs: T + 150_000 }]);
    const heard = apply(silent, heartbeat({ sequence: 2, sentAtMs: T + 300_000 })).record;
    expect(heard).toMatchObject({ isSilenceWritten: false, components: [{ lastFailedMs: T + 150_000 }] });
  });
});
