import { describe, expect, test } from "vitest";
import { unlooked } from "../src/belief.ts";
import { type Parent, standing, type Standing } from "../src/standing.ts";

const root = { kind: "service", name: "root" } as const;

/** A child that is up since 1 s. */
const up = { ...unlooked(1_000), state: "up", reason: undefined } as const;
const down = { ...up, state: "down", reason: "timeout", sinceMs: 5_000 } as const;

function parent(how: Partial<Parent> = {}): Parent {
  return {
    kind: "service",
    name: "parent",
    state: "up",
    sinceMs: 0,
    observedAtMs: 9_000,
    because: undefined,
    doubtfulSinceMs: undefined,
    ...how,
  };
}

const downParent = parent({ state: "down", sinceMs: 4_000 });
const own = standing(up, [parent()], undefined, 2_000);

describe("while a parent is down", () => {
  test.each([up, down])("nothing is known of its child, whatever its own looks say: $state", (belief) => {
    expect(standing(belief, [parent(), downParent], own, 6_000)).toMatchObject({
      state: "unknown",
      reason: "parent_down",
      because: { kind: "service", name: "parent" },
      sinceMs: 4_000,
      observedAtMs: 9_000,
    });
  });

  test("the root of it all is named, not what stands between", () => {
    const between = parent({ state: "unknown", because: root, sinceMs: 4_000 });
    expect(standing(up, [between], own, 6_000).because).toEqual(root);
  });

  test("what was unknown before is unknown since then", () => {
    const before: Standing = { ...own, state: "unknown", sinceMs: 3_000 };
    expect(standing(up, [downParent], before, 6_000).sinceMs).toBe(3_000);
  });

  test("it began no earlier than the state before it", () => {
    expect(standing(up, [downParent], { ...own, sinceMs: 4_500 }, 6_000).sinceMs).toBe(4_500);
  });
});

test("what a child's last look said before its parent was back counts no more", () => {
  const during = standing(down, [downParent], own, 6_000);
  const back = parent({ sinceMs: 7_000 });
  const before = { ...down, observedAtMs: 6_500 };
  expect(standing(before, [back], during, 7_000)).toMatchObject({
    state: "unknown",
    reason: "parent_unconfirmed",
    because: { kind: "service", name: "parent" },
    sinceMs: during.sinceMs,
  });
  expect(standing({ ...before, observedAtMs: 7_100 }, [back], during, 7_100)).toMatchObject({
    state: "down",
    because: undefined,
  });
});

test("when the parent is back its child stands anew, for as long as it stays so", () => {
  const during = standing(up, [downParent], own, 6_000);
  const after = standing(up, [parent()], during, 7_000);
  expect(after).toMatchObject({ state: "up", sinceMs: 7_000, because: undefined });
  expect(standing(up, [parent()], after, 8_000).sinceMs).toBe(7_000);
  expect(standing({ ...up, state: "down", sinceMs: 6_500 }, [parent()], during, 7_000).sinceMs).toBe(6_500);
});

describe("while a parent is looked at again", () => {
  const doubtful = parent({ doubtfulSinceMs: 4_500 });

  test("a child that began to fail after it is unknown, not down", () => {
    expect(standing(down, [doubtful], own, 6_000)).toMatchObject({
      state: "unknown",
      reason: "parent_unconfirmed",
      because: { kind: "service", name: "parent" },
      sinceMs: 5_000,
    });
  });

  test("one that is up, or was down before, stays as it is", () => {
    expect(standing(up, [doubtful], own, 6_000).state).toBe("up");
    expect(standing({ ...down, sinceMs: 4_000 }, [doubtful], own, 6_000).state).toBe("down");
  });
});

test("a parent that could not be looked at says nothing about its child", () => {
  expect(standing(up, [parent({ state: "unknown" })], own, 6_000).state).toBe("up");
  expect(standing(down, [parent({ state: "unknown" })], own, 6_000).state).toBe("down");
});
