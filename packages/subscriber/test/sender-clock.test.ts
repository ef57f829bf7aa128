import { describe, expect, test } from "vitest";
import {
  type Arrival,
  learn,
  newBootClock,
  type SenderClock,
  sentAtByOurClock,
} from "../src/sender-clock.ts";

const T = Date.UTC(2026, 10, 22);
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** A message that was truly sent at `sentMs` and came `transitMs` later; the sender's clocks are off as given. */
interface Sent {
  sentMs: number;
  transitMs?: number;
  /** How far the sender's wall clock is ahead. */
  aheadMs?: number;
  /** For how long the sender's monotonic clock has stood still. */
  stoodMs?: number;
  hasWaited?: boolean;
}

function arrival(
  format: 1 | 2,
  { sentMs, transitMs = 0, aheadMs = 0, stoodMs = 0, hasWaited = false }: Sent,
): Arrival {
  const sentAtMs = T + sentMs + aheadMs;
  const isMonotonic = format === 2;
  return {
    receivedAtMs: T + sentMs + transitMs,
    sendingMs: isMonotonic ? 5_000 + sentMs - stoodMs : sentAtMs,
    sentAtMs,
    isMonotonic,
    hasWaited,
    intervalMs: MINUTE_MS,
  };
}

/** How old the receiver thinks the last of the messages is, and whether it certainly came in time. */
function ageAfter(format: 1 | 2, messages: readonly Sent[], before?: SenderClock) {
  let clock = before;
  let isInTime = false;
  let ageMs: number | undefined;
  for (const message of messages) {
    const came = arrival(format, message);
    if (clock) ({ clock, isInTime } = learn(clock, came));
    else clock = newBootClock(came);
    const sentMs = sentAtByOurClock(clock, came);
    ageMs = sentMs === undefined ? undefined : came.receivedAtMs - sentMs;
  }
  if (!clock) throw new Error("no messages");
  return { ageMs, isInTime, clock };
}

/** Live messages, one each minute. */
function minutes(count: number, parts: Partial<Sent> = {}, fromMs = 0): Sent[] {
  return Array.from({ length: count }, (_, index) => ({ sentMs: fromMs + index * MINUTE_MS, ...parts }));
}

describe.each([1, 2] as const)("format %i: the age of news", (format) => {
  test.each([
    {
      what: "of a first message is what its clock says",
      messages: [{ sentMs: 0, transitMs: 7_000 }],
      ageMs: 7_000,
    },
    {
      what: "of a first message from a clock that is ahead is nothing",
      messages: [{ sentMs: 0, aheadMs: HOUR_MS }],
      ageMs: 0,
    },
    {
      what: "of one that waited and comes from a clock that is ahead cannot be told",
      messages: [{ sentMs: 0, aheadMs: HOUR_MS, transitMs: 3 * MINUTE_MS, hasWaited: true }],
      ageMs: undefined,
    },
    {
      what: "is right from the second on, ten minutes ahead",
      messages: minutes(2, { aheadMs: 10 * MINUTE_MS }),
      ageMs: 0,
    },
    {
      what: "is right from the second on, ten minutes behind",
      messages: minutes(2, { aheadMs: -10 * MINUTE_MS }),
      ageMs: 0,
    },
    {
      what: "is what a message waited, ten minutes ahead",
      messages: [
        ...minutes(3, { aheadMs: 10 * MINUTE_MS }),
        { sentMs: 3 * MINUTE_MS, aheadMs: 10 * MINUTE_MS, transitMs: 3 * HOUR_MS },
      ],
      ageMs: 3 * HOUR_MS,
    },
    {
      what: "is what a message waited, ten minutes behind",
      messages: [
        ...minutes(3, { aheadMs: -10 * MINUTE_MS }),
        { sentMs: 3 * MINUTE_MS, aheadMs: -10 * MINUTE_MS, transitMs: 3 * HOUR_MS },
      ],
      ageMs: 3 * HOUR_MS,
    },
    {
      what: "of a backlog is what it says, as nothing else is known",
      messages: [0, 1, 2, 3].map((minute) => ({
        sentMs: minute * MINUTE_MS,
        transitMs: 3 * HOUR_MS - minute * (MINUTE_MS - 20),
        hasWaited: true,
      })),
      ageMs: 3 * HOUR_MS - 3 * (MINUTE_MS - 20),
    },
    {
      what: "of a backlog that comes out of a shovel, too",
      messages: [0, 1, 2, 3].map((minute) => ({
        sentMs: minute * MINUTE_MS,
        transitMs: 3 * HOUR_MS - minute * (MINUTE_MS - 20),
      })),
      ageMs: 3 * HOUR_MS - 3 * (MINUTE_MS - 20),
    },
    {
      what: "is nothing again for the live messages after a backlog, ten minutes ahead",
      messages: [
        { sentMs: 0, aheadMs: 10 * MINUTE_MS, transitMs: 2 * MINUTE_MS, hasWaited: true },
        { sentMs: MINUTE_MS, aheadMs: 10 * MINUTE_MS, transitMs: MINUTE_MS + 1, hasWaited: true },
        ...minutes(2, { aheadMs: 10 * MINUTE_MS }, 3 * MINUTE_MS),
      ],
      ageMs: 0,
    },
    {
      what: "is not made younger by changes in a burst",
      messages: [
        ...minutes(2),
        ...[0, 200, 400, 600].map((sentMs) => ({
          sentMs: 2 * MINUTE_MS + sentMs,
          transitMs: 20 * MINUTE_MS - sentMs / 2,
        })),
      ],
      ageMs: 20 * MINUTE_MS - 300,
    },
  ])("$what", ({ messages, ageMs }) => {
    const age = ageAfter(format, messages).ageMs;
    if (ageMs === undefined) expect(age).toBeUndefined();
    // Clocks may have drifted by 100 ppm in the meantime.
    else expect(Math.abs((age ?? NaN) - ageMs)).toBeLessThan(0.0001 * 3 * HOUR_MS + 10);
  });

  test("stays nothing while the clocks drift apart, and what waits in between is seen", () => {
    for (const ppm of [-1_000, -100, 100, 1_000, 20_000]) {
      const drifting = (minute: number): Sent => {
        const offMs = minute * MINUTE_MS * ppm * 1e-6;
        return { sentMs: minute * MINUTE_MS, aheadMs: offMs, stoodMs: -offMs };
      };
      let { clock } = ageAfter(format, [drifting(0)]);
      for (let minute = 1; minute < 3_000; minute += 1) {
        const { ageMs = NaN, clock: next } = ageAfter(format, [drifting(minute)], clock);
        expect(ageMs, `minute ${minute} at ${ppm} ppm`).toBeLessThan(20 * SECOND_MS);
        clock = next;
      }
      const { ageMs } = ageAfter(format, [{ ...drifting(3_000), transitMs: 10 * MINUTE_MS }], clock);
      expect(ageMs, `${ppm} ppm`).toBeGreaterThan(9 * MINUTE_MS);
    }
  });
});

describe("a sender's clock that is set", () => {
  test.each([-HOUR_MS, -10 * MINUTE_MS, 10 * MINUTE_MS, HOUR_MS])(
    "by %i ms changes nothing in format 2",
    (aheadMs) => {
      const messages = [...minutes(3), ...minutes(3, { aheadMs }, 3 * MINUTE_MS)];
      for (let count = 1; count <= messages.length; count += 1) {
        expect(ageAfter(2, messages.slice(0, count)).ageMs).toBeLessThan(10);
      }
    },
  );

  test("forward makes no news of format 1 old", () => {
    const messages = [...minutes(3), ...minutes(3, { aheadMs: 10 * MINUTE_MS }, 3 * MINUTE_MS)];
    for (let count = 1; count <= messages.length; count += 1) {
      // The first one's cannot be told: it may as well have waited.
      expect(ageAfter(1, messages.slice(0, count)).ageMs ?? 0).toBeLessThan(10);
    }
    expect(ageAfter(1, messages).ageMs).toBe(0);
  });

  test("back is noticed in format 1 at the third message that comes at the right pace", () => {
    const messages = [...minutes(20), ...minutes(3, { aheadMs: -10 * MINUTE_MS }, 20 * MINUTE_MS)];
    expect(ageAfter(1, messages.slice(0, -1)).isInTime).toBe(false);
    expect(ageAfter(1, messages)).toMatchObject({ ageMs: 0, isInTime: true });
  });

  test("back is not taken for that when old messages come in a burst", () => {
    const replay = [0, 1, 2, 3, 4].map((minute) => ({
      sentMs: minute * MINUTE_MS,
      transitMs: (30 - minute) * MINUTE_MS + minute * 30,
    }));
    expect(ageAfter(1, [...minutes(20), ...replay]).isInTime).toBe(false);
  });

  test("to another time is believed by the old one for at most an hour in format 1", () => {
    const late = minutes(80, { aheadMs: -20 * SECOND_MS }, 3 * MINUTE_MS);
    expect(ageAfter(1, [...minutes(3), ...late]).ageMs).toBe(0);
  });
});

describe("a monotonic clock that stood still, as of a suspended machine,", () => {
  const stoodMs = 5 * MINUTE_MS;
  const after = (count: number, parts: Partial<Sent> = {}) =>
    minutes(count, { stoodMs, ...parts }, 8 * MINUTE_MS);

  test("is noticed when the wall clock finds the messages in time", () => {
    expect(ageAfter(2, [...minutes(3), ...after(3)]).ageMs).toBe(0);
  });

  test("is believed later when the wall clock finds them late, too: both may have stood still", () => {
    const both = after(7, { aheadMs: -stoodMs });
    expect(ageAfter(2, [...minutes(3), ...both.slice(0, 5)]).ageMs).toBeGreaterThan(stoodMs - 1_000);
    expect(ageAfter(2, [...minutes(3), ...both]).ageMs).toBe(0);
  });

  test("is not believed of a link that fills up more and more", () => {
    const filling = Array.from({ length: 297 }, (_, index) => {
      return { sentMs: (index + 3) * MINUTE_MS, transitMs: index * 2_000 };
    });
    expect(ageAfter(2, [...minutes(3), ...filling]).ageMs).toBeGreaterThan(296 * 2_000 - 30_000);
  });
});

test("of a new boot the wall clock is taken for that of the one before when it was ahead", () => {
  const { clock } = ageAfter(2, minutes(3, { aheadMs: 10 * MINUTE_MS }));
  const waited = arrival(2, {
    sentMs: 20 * MINUTE_MS,
    aheadMs: 10 * MINUTE_MS,
    transitMs: 8 * MINUTE_MS,
    hasWaited: true,
  });
  const sentMs = sentAtByOurClock(newBootClock(waited, clock), waited);
  expect(sentMs).toBe(T + 20 * MINUTE_MS);
});
