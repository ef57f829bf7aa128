import * as fc from "fast-check";
import { expect, test } from "vitest";
import { hasSeen, withSeen } from "../src/sequences.ts";

const seenAfter = (numbers: readonly number[]) =>
  numbers.reduce<ReturnType<typeof withSeen>>((ranges, number) => withSeen(ranges, number), []);

test.each([
  { numbers: [1, 2, 3], ranges: [[1, 3]] },
  { numbers: [3, 1, 2], ranges: [[1, 3]] },
  {
    numbers: [1, 3, 5, 3],
    ranges: [
      [1, 1],
      [3, 3],
      [5, 5],
    ],
  },
  {
    numbers: [5, 1, 2, 4],
    ranges: [
      [1, 2],
      [4, 5],
    ],
  },
])("$numbers are the ranges $ranges", ({ numbers, ranges }) => {
  expect(seenAfter(numbers)).toEqual(ranges);
});

test("whatever the order, seen is what was seen", () => {
  expect.hasAssertions();
  const numbers = fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 60 });
  fc.assert(
    fc.property(numbers, (given) => {
      const ranges = seenAfter(given);
      for (let number = 1; number <= 30; number += 1)
        expect(hasSeen(ranges, number)).toBe(given.includes(number));
    }),
  );
});

test("of more gaps than are kept the oldest are forgotten, and what was seen there counts as new", () => {
  const ranges = seenAfter(Array.from({ length: 100 }, (_, index) => 2 * index + 1));
  expect(ranges).toHaveLength(16);
  expect([hasSeen(ranges, 1), hasSeen(ranges, 199)]).toEqual([false, true]);
});
