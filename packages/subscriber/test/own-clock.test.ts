import { expect, test } from "vitest";
import { ownClock } from "../src/own-clock.ts";

test.each([
  { what: "is not set", stepMs: 0, isSet: false, isSetBack: false },
  { what: "is corrected a little", stepMs: -900, isSet: false, isSetBack: false },
  { what: "is set back by seconds, which hardly matters", stepMs: -9_000, isSet: true, isSetBack: false },
  { what: "is set back", stepMs: -60_000, isSet: true, isSetBack: true },
  { what: "is set forward", stepMs: 60_000, isSet: true, isSetBack: false },
])("our clock $what", ({ stepMs, isSet, isSetBack }) => {
  let [nowMs, monotonicMs] = [1_000_000, 5];
  const clock = ownClock(
    () => nowMs,
    () => monotonicMs,
  );
  expect([clock.setAtMs(), clock.setBackAtMs()]).toEqual([0, 0]);
  monotonicMs += 400;
  nowMs += 400 + stepMs;
  const noticed = (isNoticed: boolean) => (isNoticed ? 1_000_400 + stepMs : 0);
  // Whichever is asked first.
  expect(clock.setBackAtMs()).toBe(noticed(isSetBack));
  expect(clock.setAtMs()).toBe(noticed(isSet));
  monotonicMs += 400;
  nowMs += 400;
  expect([clock.setAtMs(), clock.setBackAtMs()]).toEqual([noticed(isSet), noticed(isSetBack)]);
});
