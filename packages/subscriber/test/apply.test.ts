import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import { describe, expect, test } from "vitest";
import { type Applied, applyHeartbeat, applySilence } from "../src/apply.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { component, heartbeat } from "./heartbeats.ts";

const rules = { expectedIntervalMs: 60_000, silenceFactor: 2.5 };
const T = 1_000_000;

function apply(
  before: SiteRecord | undefined,
  message: ReceivedHeartbeat,
  receivedAtMs = message.sentAtMs,
): Applied {
  return applyHeartbeat(before, message, "tsd", receivedAtMs, rules);
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
    { what: "the next of the boot", message: { sequence: 6 }, outcome: "apply" },
    { what: "a later one of the boot after a gap", message: { sequence: 60 }, outcome: "apply" },
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
      outcome: "apply",
    },
    { what: "a new boot", message: { bootId: "new", sentAtMs: T }, outcome: "apply" },
    {
      what: "a new boot whose clock is behind",
      message: { bootId: "new", sentAtMs: T - 1 },
      outcome: "other-boot",
    },
    {
      what: "a new boot whose clock is behind, once the current one is silent",
      message: { bootId: "new", sentAtMs: T - 1 },
      receivedAtMs: deadlineMs + 1,
      outcome: "apply",
    },
    { what: "back-fill", message: { sequence: 6, cause: "backfill" as const }, outcome: "backfill" },
  ])("$what: $outcome", ({ message, receivedAtMs, outcome }) => {
    const applied = apply(current, heartbeat(message), receivedAtMs ?? T);
    expect(applied.outcome).toBe(outcome);
    if (outcome !== "apply") expect(applied.record).toBe(current);
  });

  test("in format 1 an equal sequence is applied: upstream's times have whole seconds", () => {
    const first = recordAfter({ format: 1, bootId: "2026", sequence: T });
    expect(apply(first, heartbeat({ format: 1, bootId: "2026", sequence: T })).outcome).toBe("apply");
    expect(apply(first, heartbeat({ format: 1, bootId: "2026", sequence: T - 1_000 })).outcome).toBe("late");
  });

  test("a boot that was replaced does not come back while the new one speaks, and does when it falls silent", () => {
    const replaced = recordAfter({ sequence: 5 }, { bootId: "new", sentAtMs: T + 1_000 });
    const old = heartbeat({ sequence: 6, sentAtMs: T + 60_000 });
    expect(apply(replaced, old, T + 60_000).outcome).toBe("other-boot");
    const afterItsDeadlineMs = replaced.deadlineMs + 1;
    expect(apply(replaced, old, afterItsDeadlineMs).outcome).toBe("apply");
    const replay = heartbeat({ sequence: 5 });
    expect(apply(replaced, replay, afterItsDeadlineMs).outcome).toBe("other-boot");
  });

  test("a clock far ahead does not lock out the next boot", () => {
    const ahead = apply(undefined, heartbeat({ sentAtMs: T + 3_600_000 }), T).record;
    expect(apply(ahead, heartbeat({ bootId: "new", sentAtMs: T + 1_000 }), T + 1_000).outcome).toBe("apply");
  });

  test("only so many boots are remembered, the last ones", () => {
    const boots = Array.from({ length: 200 }, (_, index) => ({
      bootId: `boot-${index}`,
      sentAtMs: T + index,
    }));
    const record = recordAfter(...boots);
    expect(record.boots).toHaveLength(64);
    expect(record.boots.at(-1)?.[0]).toBe("boot-199");
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

describe("components", () => {
  test("a state keeps its beginning while it lasts", () => {
    const { components } = recordAfter(
      { sequence: 1, components: [component({ sinceMs: 900_000 })] },
      { sequence: 2, components: [component({ sinceMs: 950_000, observedAtMs: 1_060_000 })] },
    );
    expect(components).toMatchObject([{ sinceMs: 900_000, observedAtMs: 1_060_000 }]);
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
