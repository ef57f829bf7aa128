import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inCircles, parentsFirst } from "../src/dependencies.ts";

const graph = (parents: Record<string, string[]>) => new Map(Object.entries(parents));

describe("circles", () => {
  test.each([
    { what: "itself", parents: { a: ["a"] }, found: ["a"] },
    { what: "one another", parents: { a: ["b"], b: ["a"] }, found: ["a", "b"] },
    { what: "not who depends on a circle", parents: { a: ["b"], b: ["c"], c: ["b"] }, found: ["b", "c"] },
    { what: "two ways to the same", parents: { a: ["b", "c"], b: ["d"], c: ["d"], d: [] }, found: [] },
    { what: "what is not there", parents: { a: ["x"] }, found: [] },
  ])("$what", ({ parents, found }) => {
    expect([...inCircles(graph(parents))].toSorted()).toEqual(found);
  });
});

describe("the order", () => {
  const acyclic = fc
    .array(fc.array(fc.nat({ max: 20 }), { maxLength: 4 }), { minLength: 1, maxLength: 20 })
    .map(
      (lists) => new Map(lists.map((of, index) => [`${index}`, of.filter((one) => one < index).map(String)])),
    );

  test("each comes once, after its parents", () => {
    fc.assert(
      fc.property(acyclic, (parents) => {
        const shuffled = new Map([...parents].toReversed());
        const order = parentsFirst(shuffled);
        expect(order.toSorted()).toEqual([...parents.keys()].toSorted());
        for (const [key, of] of parents) {
          for (const parent of of) expect(order.indexOf(parent)).toBeLessThan(order.indexOf(key));
        }
      }),
    );
  });

  test("a chain of thousands is no problem", () => {
    const chain = new Map(Array.from({ length: 15_000 }, (_, index) => [`${index}`, [`${index + 1}`]]));
    expect(parentsFirst(chain)).toHaveLength(15_000);
    expect(inCircles(chain).size).toBe(0);
  });
});
