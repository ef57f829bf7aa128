import { describe, expect, test } from "vitest";
import { type Belief, believe, forget, unlooked } from "../src/belief.ts";
import type { Policy } from "../src/policy.ts";
import type { Observation } from "../src/probe.ts";
import { POLICY } from "./watched.ts";

const UP: Observation = { state: "up" };
const DOWN: Observation = { state: "down", reason: "connection_refused" };
const UNKNOWN: Observation = { state: "unknown", reason: "management_unreachable" };

describe("belief", () => {
  test.each([
    { name: "up counts at once", looks: [UP], states: ["up"] },
    { name: "a first failure is not believed", looks: [UP, DOWN], states: ["up", "up"] },
    { name: "the second in a row is", looks: [UP, DOWN, DOWN], states: ["up", "up", "down"] },
    {
      name: "a success in between begins anew",
      looks: [UP, DOWN, UP, DOWN],
      states: ["up", "up", "up", "up"],
    },
    {
      name: "unknown needs a second look, too",
      looks: [UP, UNKNOWN, UNKNOWN],
      states: ["up", "up", "unknown"],
    },
    { name: "of two failures the latter counts", looks: [UP, UNKNOWN, DOWN], states: ["up", "up", "down"] },
    { name: "up again at once", looks: [UP, DOWN, DOWN, UP], states: ["up", "up", "down", "up"] },
    { name: "never up before it was seen", looks: [DOWN, DOWN], states: ["unknown", "down"] },
    {
      name: "a failure changes its kind",
      looks: [DOWN, DOWN, UNKNOWN],
      states: ["unknown", "down", "unknown"],
    },
  ])("$name", ({ looks, states }) => {
    expect(beliefs(looks).map(({ state }) => state)).toEqual(states);
  });

  test("a failure began with the first look that showed it", () => {
    expect(beliefs([UP, DOWN, DOWN, DOWN]).at(-1)).toMatchObject({ sinceMs: 2_000, observedAtMs: 4_000 });
  });

  test("while a failure is in doubt, the last look that agreed with the state is the one that counts", () => {
    expect(beliefs([UP, UP, DOWN]).at(-1)).toMatchObject({
      state: "up",
      sinceMs: 1_000,
      observedAtMs: 2_000,
    });
  });

  test("before and after a first failing look the reason says that nothing is known", () => {
    expect(unlooked(0)).toMatchObject({ state: "unknown", reason: "not_looked_yet" });
    expect(beliefs([DOWN]).at(-1)).toMatchObject({ state: "unknown", reason: "unconfirmed" });
  });

  test("the reason of a failure goes with it", () => {
    expect(beliefs([UP, DOWN, DOWN]).at(-1)?.reason).toBe("connection_refused");
    expect(beliefs([UP, DOWN, DOWN, UP]).at(-1)?.reason).toBeUndefined();
  });
});

describe("the policy", () => {
  const states = (looks: readonly Observation[], policy: Partial<Policy>, everyMs?: number) =>
    beliefs(looks, policy, everyMs).map(({ state }) => state);

  test("says how many looks must fail", () => {
    const confirm = { looks: 3, pauseMs: 1_000 };
    expect(states([UP, DOWN, DOWN, DOWN], { confirm })).toEqual(["up", "up", "up", "down"]);
    expect(states([UP, DOWN], { confirm: { looks: 1, pauseMs: 1_000 } })).toEqual(["up", "down"]);
  });

  test("looks within the pause do not confirm: statistics that lag would say the same", () => {
    const confirm = { looks: 2, pauseMs: 6_000 };
    const looks = [UP, DOWN, DOWN, DOWN, DOWN];
    expect(states(looks, { confirm }, 2_000)).toEqual(["up", "up", "up", "up", "down"]);
    expect(beliefs(looks, { confirm }, 2_000).at(-1)?.sinceMs).toBe(4_000);
  });

  test("says how many looks must succeed before a failure is over", () => {
    const looks = [UP, DOWN, DOWN, UP, DOWN, UP, UP, UP];
    const expected = ["up", "up", "down", "down", "down", "down", "down", "up"];
    expect(states(looks, { recover: { looks: 3 } })).toEqual(expected);
  });

  test("what was never seen is up at the first look, whatever it takes to recover", () => {
    expect(states([UP], { recover: { looks: 3 } })).toEqual(["up"]);
    expect(states([DOWN, UP], { recover: { looks: 3 } })).toEqual(["unknown", "up"]);
  });

  test("so is what nobody has looked at for long: it begins anew", () => {
    const recover = { looks: 3 };
    const down = beliefs([UP, DOWN, DOWN], { recover }).at(-1) ?? unlooked(0);
    const now = { wallMs: 60_000, monotonicMs: 60_000 };
    const after = believe(forget(down, 50_000), UP, now, { ...POLICY, recover });
    expect(after).toMatchObject({ state: "up", sinceMs: 60_000 });
  });

  const flapping = { changes: 4, looks: 6, calm: 1 };
  const restless = [UP, DOWN, UP, DOWN, UP];

  test("what comes and goes too often is down as flapping, until it is calm", () => {
    const looks = [...restless, UP, UP, UP, UP];
    expect(states(looks, { flapping })).toEqual([...Array(4).fill("up"), ...Array(4).fill("down"), "up"]);
    expect(beliefs(restless, { flapping }).at(-1)).toMatchObject({ reason: "flapping", sinceMs: 5_000 });
  });

  test("one whose probe could not look again and again is unknown, not down", () => {
    const looks = restless.map((seen) => (seen === DOWN ? UNKNOWN : seen));
    expect(states(looks, { flapping }).at(-1)).toBe("unknown");
  });

  test("one long failure is no flapping, and by default neither is a change at every fifth look", () => {
    expect(states([UP, DOWN, DOWN, DOWN, DOWN, DOWN, DOWN, UP], { flapping }).at(-1)).toBe("up");
    const fifths = Array.from({ length: 15 }, () => [UP, UP, UP, UP, DOWN]).flat();
    expect(new Set(states(fifths, {}))).toEqual(new Set(["up"]));
    const halves = Array.from({ length: 15 }, () => [UP, DOWN]).flat();
    expect(states(halves, {}).at(-1)).toBe("down");
    expect(states(halves, { flapping: undefined }).at(-1)).toBe("up");
  });

  test("a failure within flapping has its own reason, and the state began before", () => {
    const [flaps, failing] = [restless, [...restless, DOWN, DOWN]];
    expect(beliefs(flaps, { flapping }).at(-1)).toMatchObject({ state: "down", reason: "flapping" });
    expect(beliefs(failing, { flapping }).at(-1)).toMatchObject({
      state: "down",
      reason: "connection_refused",
      sinceMs: 5_000,
    });
  });
});

test("what was measured goes with the look", () => {
  const full = { ...UP, values: { free_bytes: 1 } };
  expect(beliefs([full]).at(-1)?.values).toEqual({ free_bytes: 1 });
  expect(beliefs([full, UP]).at(-1)?.values).toBeUndefined();
});

/** What is believed after each look, the first at 1 s, the next at 2 s, and so on. */
function beliefs(looks: readonly Observation[], policy: Partial<Policy> = {}, everyMs = 1_000): Belief[] {
  let belief = unlooked(0);
  return looks.map((seen, index) => {
    const wallMs = (index + 1) * everyMs;
    // The two clocks have nothing to do with one another.
    const moment = { wallMs, monotonicMs: wallMs + 77_000 };
    return (belief = believe(belief, seen, moment, { ...POLICY, ...policy }));
  });
}
