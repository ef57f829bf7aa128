import { expect, test } from "vitest";
import { redialDelayMs } from "../src/backoff.ts";

const middle = () => 0.5;
const CAP_MS = 2_000;
const MINUTE_MS = 60_000;

test.each([
  { addresses: 1, waits: [100, 200, 400, 800, 833, 833] },
  { addresses: 2, waits: [0, 100, 0, 200, 0, 400, 0, 800, 0, 833, 0, 833] },
  { addresses: 3, waits: [0, 0, 100, 0, 0, 200] },
])("with $addresses addresses the waits are $waits: one for each round", ({ addresses, waits }) => {
  const found = waits.map((_, index) => {
    return Math.round(redialDelayMs({ failures: index + 1, addresses, outageMs: 0 }, middle));
  });
  expect(found).toEqual(waits);
});

test("in the first minute half of the two seconds is left for the session to open", () => {
  const longest = [1, 2, 3, 10, 100, 100_000].map((failures) => {
    return Math.round(redialDelayMs({ failures, addresses: 1, outageMs: MINUTE_MS }, () => 1));
  });
  expect(Math.max(...longest)).toBeLessThanOrEqual(CAP_MS / 2);
});

test("after ten minutes it may be as long as five seconds", () => {
  for (const random of [() => 0, () => 1]) {
    const waitMs = redialDelayMs({ failures: 1_000, addresses: 2, outageMs: 10 * MINUTE_MS }, random);
    expect(waitMs).toBeGreaterThan(3_000);
    expect(Math.round(waitMs)).toBeLessThanOrEqual(5_000);
  }
});
