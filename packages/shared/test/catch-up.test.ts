import { describe, expect, test } from "vitest";
import { catchUp } from "../src/catch-up.ts";

const PREFETCH = 3;

describe("a message may have waited in the queue", () => {
  test("while nobody has counted, and as many as were counted", () => {
    const backlog = catchUp(PREFETCH, 0);
    expect(backlog.delivered(0)).toBe(true);
    backlog.counted(1);
    expect([backlog.delivered(1), backlog.delivered(2)]).toEqual([true, false]);
  });

  test("until the queue is seen to be empty: nothing in hand for a second", () => {
    const backlog = catchUp(PREFETCH, 0);
    expect(backlog.delivered(900)).toBe(true);
    expect(backlog.delivered(5_000), "one is still in hand").toBe(true);
    backlog.dealtWith(2, 2, 6_000);
    expect(backlog.delivered(6_900)).toBe(true);
    backlog.dealtWith(1, 1, 7_000);
    expect(backlog.delivered(8_001)).toBe(false);
  });

  test("again after we had as many in hand as we may, until somebody counts", () => {
    const backlog = catchUp(PREFETCH, 0);
    backlog.counted(0);
    expect([1, 2, 3].map((nowMs) => backlog.delivered(nowMs))).toEqual([false, false, false]);
    expect(backlog.isUncounted).toBe(true);
    backlog.dealtWith(3, 0, 10);
    expect(backlog.delivered(11)).toBe(true);
    backlog.counted(0);
    expect(backlog.isUncounted).toBe(false);
    expect(backlog.delivered(12)).toBe(false);
  });
});

describe("catching up", () => {
  test("ends when what waited has been dealt with", () => {
    const backlog = catchUp(PREFETCH, 0);
    expect(backlog.isCatchingUp(0)).toBe(true);
    backlog.counted(1);
    backlog.delivered(1);
    expect(backlog.isCatchingUp(2)).toBe(true);
    backlog.dealtWith(1, 1, 3);
    expect(backlog.isCatchingUp(3)).toBe(false);
  });

  test("ends when the queue is seen to be empty, as when another subscriber took the messages", () => {
    const backlog = catchUp(PREFETCH, 0);
    backlog.counted(1_000);
    expect(backlog.isCatchingUp(1_000)).toBe(true);
    expect(backlog.isCatchingUp(1_001)).toBe(false);
  });

  test("is over after 30 s in any case, and begins anew when we fall behind again", () => {
    const backlog = catchUp(PREFETCH, 0);
    backlog.counted(1);
    backlog.delivered(1);
    expect([29_999, 30_000].map((nowMs) => backlog.isCatchingUp(nowMs))).toEqual([true, false]);
    backlog.dealtWith(1, 1, 40_000);
    for (const nowMs of [50_000, 50_000, 50_000]) backlog.delivered(nowMs);
    expect([50_001, 80_000].map((nowMs) => backlog.isCatchingUp(nowMs))).toEqual([true, false]);
  });
});
