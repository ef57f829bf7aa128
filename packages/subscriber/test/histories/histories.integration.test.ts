import * as fc from "fast-check";
import { expect, test } from "vitest";
import { freshStore } from "../fresh-store.ts";
import { type Action, world } from "./world.ts";

/** The same histories each time, so that whoever breaks them did it; HISTORIES=500 explores as many others. */
const SEED = 20_261_123;
const RANDOM_RUNS = process.env["HISTORIES"] === undefined ? undefined : Number(process.env["HISTORIES"]);

const site = fc.nat(1);
const component = fc.nat(3);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("wait" as const), ticks: fc.integer({ min: 1, max: 40 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("set" as const),
      site,
      component,
      state: fc.constantFrom("up", "up", "up", "down", "unknown"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), site, component }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("crash", "goodbye", "start", "start"), site }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("set clock" as const),
      site,
      minutes: fc.constantFrom(-60, -10, -1, 0, 1, 10, 60),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("leave", "return", "return", "block", "open", "open", "empty redis", "replay"),
    }),
  },
);

test("whatever happens, nobody says ok without knowing it, nor failed for what has long been up and fresh", async () => {
  expect.hasAssertions();
  const { store, redis } = await freshStore();
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 10, maxLength: 40 }), async (actions) => {
      const act = world(store, redis);
      await act({ do: "wait", ticks: 20 });
      for (const next of actions) await act(next);
      await act({ do: "open" });
      await act({ do: "return" });
      await act({ do: "wait", ticks: 20 });
      for (const site of [0, 1]) await act({ do: "start", site });
      await act({ do: "wait", ticks: 30 });
      await redis.flushdb();
    }),
    { numRuns: RANDOM_RUNS ?? 20, ...(RANDOM_RUNS === undefined && { seed: SEED }), endOnFailure: true },
  );
}, 300_000);
