import { expect, test } from "vitest";
import { brokerRestart, isOfRestart } from "../src/broker-restart.ts";

/** Asks once a second; `connected` has the time of the connect at each second, or nothing while there is none. */
function excused(connected: readonly (number | undefined)[]): boolean[] {
  const ask = brokerRestart();
  return connected.map((connectedAtMs, second) => ask(connectedAtMs, second * 1_000));
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

test("a restart and ten seconds after it are passed over, and nothing else", () => {
  const looks = excused([...times(5, 1), ...times(8, undefined), ...times(15, 2)]);
  expect(looks).toEqual([...times(5, false), ...times(18, true), ...times(5, false)]);
});

test("one that is seen only by the new connection is passed over, too", () => {
  expect(excused([1, 1, 2, ...times(12, 2)])).toEqual([false, false, ...times(10, true), ...times(3, false)]);
});

test("an absence that lasts is no restart", () => {
  const looks = excused([1, ...times(60, undefined)]);
  expect(looks.slice(1, 31)).toEqual(times(30, true));
  expect(looks.slice(31)).toEqual(times(30, false));
});

test("the first connect is none", () => {
  expect(excused([...times(10, undefined), ...times(5, 1)])).toEqual(times(15, false));
});

test("a broker that is restarted again and again is told as it is found", () => {
  const crashLoop = Array.from({ length: 8 }, (_, index) => [
    ...times(3, undefined),
    ...times(20, index + 2),
  ]);
  const looks = excused([1, ...crashLoop.flat()]);
  expect(looks.filter(Boolean)).toHaveLength(3 * 13);
  expect(looks.slice(1 + 3 * 23)).toEqual(times(5 * 23, false));
});

test.each([
  { state: "unknown", reason: "management_unreachable", is: true },
  { state: "down", reason: "link_not_running", is: true },
  { state: "down", reason: "consumer_missing", is: false },
  { state: "down", reason: "queue_stalled", is: false },
] as const)("$state as $reason is what a restart looks like: $is", ({ is, ...failure }) => {
  expect(isOfRestart(failure)).toBe(is);
});
