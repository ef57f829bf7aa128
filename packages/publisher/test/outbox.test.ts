import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type KeptHeartbeat, type Outbox, outbox } from "../src/outbox.ts";

const MANY_BYTES = 1_000_000;

/** `7` repeats, `7!` tells a change. */
function heartbeat(name: string, bytes = 1): KeptHeartbeat {
  return {
    sequence: Number.parseInt(name, 10),
    sentAtMs: 0,
    isChange: name.endsWith("!"),
    packed: Buffer.alloc(bytes),
  };
}

function takeAll(box: Outbox): string {
  const names: string[] = [];
  for (let kept = box.take(); kept; kept = box.take())
    names.push(`${kept.sequence}${kept.isChange ? "!" : ""}`);
  return names.join(" ");
}

test.each([
  { what: "hands out the oldest first", most: 3, added: "1 2 3", left: "1 2 3", dropped: 0 },
  {
    what: "drops the oldest repetition when it is full",
    most: 3,
    added: "1 2 3 4 5",
    left: "3 4 5",
    dropped: 2,
  },
  {
    what: "keeps changes instead of repetitions",
    most: 3,
    added: "1! 2 3! 4 5",
    left: "1! 3! 5",
    dropped: 2,
  },
  { what: "takes no repetition for a change", most: 2, added: "1! 2! 3", left: "1! 2!", dropped: 1 },
  { what: "drops the oldest of nothing but changes", most: 2, added: "1! 2! 3!", left: "2! 3!", dropped: 1 },
  { what: "keeps none where none is wanted", most: 0, added: "1! 2", left: "", dropped: 2 },
  { what: "puts back what came out in its place", most: 3, added: "3 1 2", left: "1 2 3", dropped: 0 },
])("$what: $added", ({ most, added, left, dropped }) => {
  const box = outbox(most, MANY_BYTES);
  for (const name of added.split(" ")) box.add(heartbeat(name));
  expect(takeAll(box)).toBe(left);
  expect(box.takeDropped()).toBe(dropped);
  expect(box.takeDropped()).toBe(0);
});

describe("whatever is added and taken", () => {
  const step = fc.oneof(
    fc.constant("take" as const),
    fc.record({ isChange: fc.boolean(), bytes: fc.integer({ min: 1, max: 40 }) }),
  );

  test("it stays within its bounds, in order, and no change is dropped while there is a repetition", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const box = outbox(5, 100);
        let held: KeptHeartbeat[] = [];
        for (const [index, step] of steps.entries()) {
          if (step === "take") {
            expect(box.take()).toBe(held.shift());
            continue;
          }
          const added = heartbeat(`${index}${step.isChange ? "!" : ""}`, step.bytes);
          box.add(added);
          const before = [...held, added];
          held = [];
          for (let kept = box.take(); kept; kept = box.take()) held.push(kept);
          for (const kept of held) box.add(kept);
          const lost = before.filter((one) => !held.includes(one));
          expect(held).toEqual(before.filter((one) => held.includes(one)));
          expect(box.takeDropped()).toBe(lost.length);
          if (lost.some(({ isChange }) => isChange))
            expect(held.every(({ isChange }) => isChange)).toBe(true);
          expect(held.length).toBeLessThanOrEqual(5);
          expect(held.reduce((sum, { packed }) => sum + packed.length, 0)).toBeLessThanOrEqual(100);
        }
      }),
    );
  });
});
