import { setTimeout as sleepFor } from "node:timers/promises";
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Policy } from "../src/policy.ts";
import type { Observation, Probe } from "../src/probe.ts";
import { startWatch, type WatchOptions } from "../src/watch.ts";
import { POLICY, targetOf } from "./watched.ts";

const UP: Observation = { state: "up" };
const DOWN: Observation = { state: "down", reason: "connection_refused" };

describe("the loop", () => {
  test("looks a second time after the probe's own pause, and tells of the change", async () => {
    const { sleeps, onChange, looks } = start(script([UP, DOWN, DOWN]), { stopAfterSleeps: 3 });
    await vi.waitFor(() => expect(sleeps).toHaveLength(3));
    expect(looks()).toBe(3);
    expect(sleeps[1]).toBe(1_000);
    // Up at the first look, down at the third.
    expect(onChange).toHaveBeenCalledTimes(2);
  });

  test("leaves the second look to the next interval where the pause is no shorter", async () => {
    const policy = { confirm: { looks: 2, pauseMs: 10_000 } };
    const { sleeps, looks } = start(script([UP, DOWN, DOWN], policy), { stopAfterSleeps: 3 });
    await vi.waitFor(() => expect(sleeps).toHaveLength(3));
    expect(looks()).toBe(3);
    expect(sleeps).toEqual([10_000, 10_000, 10_000]);
  });

  test("a look that hangs takes no longer than the time-out", async () => {
    const hanging: Probe = {
      ...script([UP], { timeoutMs: 100 }),
      look: (signal) =>
        new Promise((resolve) =>
          signal.addEventListener("abort", () => resolve([{ state: "down", reason: "timeout" }])),
        ),
    };
    const startedMs = performance.now();
    const { firstLook } = start(hanging, { stopAfterSleeps: 1 });
    await firstLook;
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });

  test("what a look leaves under way is aborted when it ends", async () => {
    let signalled: AbortSignal | undefined;
    const careless: Probe = {
      ...script([UP]),
      look: async (signal) => {
        signalled = signal;
        return [UP];
      },
    };
    const { firstLook } = start(careless, { stopAfterSleeps: 1 });
    await firstLook;
    expect(signalled?.aborted).toBe(true);
  });

  test.each([
    { what: "a look that never ends", look: () => new Promise<never>(() => {}) },
    { what: "one that tells less than it should", look: async () => [] },
  ])("$what makes its target unknown, not up", async ({ look }) => {
    let looks = 0;
    const probe: Probe = {
      ...script([UP], { timeoutMs: 1 }),
      look: () => ((looks += 1) === 1 ? Promise.resolve([UP]) : look()),
    };
    const { watch } = start(probe, { stopAfterSleeps: 3 });
    await vi.waitFor(() => expect(watch.targets()[0]?.state).toBe("unknown"), { timeout: 20_000 });
  });

  const quick = { intervalMs: 20, timeoutMs: 20, splayMs: 0, confirm: { looks: 2, pauseMs: 0 } };

  test("what nobody has looked at for long is unknown, not up", async () => {
    const { watch, firstLook } = start(script([UP], quick), { stopAfterSleeps: 1, now: realTime });
    await firstLook;
    expect(watch.targets()[0]?.state).toBe("up");
    const forgotten = { state: "unknown", reason: "not_looked_lately" };
    await vi.waitFor(() => expect(watch.targets()[0]).toMatchObject(forgotten));
  });

  test("since when it is unknown, and since when it is up again, is told as it was", async () => {
    const { promise: gate, resolve: lookAgain } = Promise.withResolvers<void>();
    const sleep = async (ms: number) => {
      await gate;
      await new Promise((resolve) => setTimeout(resolve, ms));
    };
    const timing = { stopAfterSleeps: 1, now: realTime, sleep };
    const { watch, firstLook } = start(script([UP], quick), timing);
    await firstLook;
    const only = () => watch.targets()[0];
    const upSinceMs = only()?.sinceMs ?? Infinity;
    await vi.waitFor(() => expect(only()?.state).toBe("unknown"), { interval: 1 });
    const unknownSinceMs = only()?.sinceMs ?? 0;
    expect(unknownSinceMs).toBeGreaterThan(upSinceMs + 100);
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(unknownSinceMs));
    expect(only()).toMatchObject({ state: "unknown", sinceMs: unknownSinceMs });
    lookAgain();
    await vi.waitFor(() => expect(only()?.state).toBe("up"));
    expect(only()?.sinceMs).toBeGreaterThan(unknownSinceMs);
  });

  test("the second look comes within the splay, and from then on at the interval", async () => {
    const policy = { splayMs: 8_000 };
    const { sleeps } = start(script([UP], policy), { stopAfterSleeps: 3, random: () => 0.25 });
    await vi.waitFor(() => expect(sleeps).toHaveLength(3));
    expect(sleeps).toEqual([8_000, 10_000, 10_000]);
  });

  test("no more probes look at the same time than allowed", async () => {
    let now = 0;
    let most = 0;
    const probes = Array.from({ length: 20 }, (_, index): Probe => ({
      ...named(`db-${index}`, [UP]),
      async look() {
        now += 1;
        most = Math.max(most, now);
        await new Promise((resolve) => setImmediate(resolve));
        now -= 1;
        return [UP];
      },
    }));
    const { watch, firstLook } = start(probes, { concurrency: 3, stopAfterSleeps: 1_000 });
    await firstLook;
    expect(most).toBe(3);
    expect(watch.targets().every(({ state }) => state === "up")).toBe(true);
  });
});

describe("replaced probes", () => {
  test("what stays the same is believed as before, what is new is told after its first look", async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { watch, firstLook } = start([named("a", [UP]), named("b", [UP])], { stopAfterSleeps: 2 });
    await firstLook;
    const before = watch.targets().find(({ name }) => name === "a")?.sinceMs;
    const late: Probe = { ...named("c", [UP]), look: () => gate.then(() => [UP]) };
    const replaced = watch.replace([named("a", [DOWN, UP]), late]);
    await vi.waitFor(() => expect(statesOf(watch)).toEqual({ a: "up", b: "up" }));
    open();
    await replaced;
    expect(statesOf(watch)).toEqual({ a: "up", c: "up" });
    expect(watch.targets()[0]?.sinceMs).toBe(before);
  });

  test("of another subject under the same name nothing is believed", async () => {
    const { watch, firstLook } = start(named("a", [UP]), { stopAfterSleeps: 1 });
    await firstLook;
    await watch.replace([named("a", [DOWN], "elsewhere")]);
    expect(watch.targets()).toMatchObject([{ name: "a", state: "unknown", reason: "unconfirmed" }]);
  });

  test("those that are replaced while they are looked at for the first time are never told", async () => {
    const { watch, firstLook } = start(named("a", [UP]), { stopAfterSleeps: 1 });
    await firstLook;
    const hanging: Probe = {
      ...named("b", []),
      look: (signal) =>
        new Promise((resolve) => signal.addEventListener("abort", () => resolve([{ state: "down" }]))),
    };
    const [first, second] = [watch.replace([hanging]), watch.replace([named("c", [UP])])];
    await Promise.all([first, second]);
    expect(statesOf(watch)).toEqual({ c: "up" });
  });

  test("the old ones are looked at no more", async () => {
    const old = named("a", [UP]);
    const { watch, firstLook } = start(old, { stopAfterSleeps: Infinity });
    await firstLook;
    const fresh = named("b", [UP]);
    await watch.replace([fresh]);
    const [oldLooks, freshLooks] = [old.looks, fresh.looks];
    await vi.waitFor(() => expect(fresh.looks).toBeGreaterThan(freshLooks + 3));
    expect(old.looks).toBe(oldLooks);
  });
});

describe("children", () => {
  const parent = { kind: "service", name: "parent" } as const;
  const policy = { ...POLICY, dependsOn: [parent], confirm: { looks: 1, pauseMs: 0 } };

  test("are unknown because of the root, and a change of the parent's is a change of theirs", async () => {
    const probes = [
      scripted({ name: "child", policy }, [UP]),
      scripted({ name: "parent", policy: { ...policy, dependsOn: [{ kind: "service", name: "root" }] } }, [
        UP,
      ]),
      scripted({ name: "root", policy: { ...policy, dependsOn: [] } }, [UP, DOWN]),
    ];
    const { watch, onChange } = start(probes, { stopAfterSleeps: Infinity });
    await vi.waitFor(() =>
      expect(statesOf(watch)).toEqual({ child: "unknown", parent: "unknown", root: "down" }),
    );
    const [child] = watch.targets();
    expect(child).toMatchObject({ reason: "parent_down", because: { kind: "service", name: "root" } });
    expect(child?.sinceMs).toBe(watch.targets()[2]?.sinceMs);
    expect(onChange).toHaveBeenCalled();
  });

  test("stand anew when the parent is back, and that is told", async () => {
    const root = scripted({ name: "parent", policy: { ...policy, dependsOn: [] } }, [UP]);
    const seen = { now: UP };
    const probes = [{ ...root, look: async () => [seen.now] }, scripted({ name: "child", policy }, [UP])];
    const { watch, onChange } = start(probes, { stopAfterSleeps: Infinity });
    const child = () => watch.targets()[1];
    await vi.waitFor(() => expect(child()?.state).toBe("up"));
    const [firstMs, changes] = [child()?.sinceMs ?? Infinity, onChange.mock.calls.length];
    seen.now = DOWN;
    await vi.waitFor(() => expect(child()?.state).toBe("unknown"));
    const unknownMs = child()?.sinceMs ?? 0;
    expect(unknownMs).toBeGreaterThanOrEqual(firstMs);
    seen.now = UP;
    await vi.waitFor(() => expect(child()?.state).toBe("up"));
    expect(child()?.sinceMs).toBeGreaterThan(unknownMs);
    expect(onChange.mock.calls.length).toBeGreaterThanOrEqual(changes + 2);
  });
});

test("what fails while the broker is being restarted is passed over, but never at the first look", async () => {
  let isRestarted = true;
  const excused = { isExcused: () => isRestarted, stopAfterSleeps: Infinity };
  const policy = { ...POLICY, confirm: { looks: 1, pauseMs: 0 } };
  const probe = scripted({ policy }, [DOWN]);
  const { watch, firstLook } = start(probe, excused);
  await firstLook;
  expect(watch.targets()[0]?.state).toBe("down");
  const second = start(scripted({ policy }, [UP, DOWN]), excused);
  await second.firstLook;
  await vi.waitFor(() => expect(second.looks()).toBeGreaterThan(5));
  expect(second.watch.targets()[0]?.state).toBe("up");
  isRestarted = false;
  await vi.waitFor(() => expect(second.watch.targets()[0]?.state).toBe("down"));
});

describe("what was passed over", () => {
  test("is looked at again soon, however long the interval is", async () => {
    const policy = { intervalMs: 3_600_000, splayMs: 0 };
    const probe = script([UP, DOWN, DOWN, DOWN], policy);
    const { watch, sleeps } = start(probe, { isExcused: () => probe.looks === 2, stopAfterSleeps: 4 });
    await vi.waitFor(() => expect(sleeps).toHaveLength(4));
    expect(sleeps.slice(0, 3)).toEqual([3_600_000, 1_000, 1_000]);
    expect(watch.targets()[0]?.state).toBe("down");
  });

  test("is not looked at without a pause, also when it was in doubt before", async () => {
    const probe = script([UP, DOWN], { splayMs: 0, confirm: { looks: 2, pauseMs: 50 } });
    const { sleeps } = start(probe, { isExcused: () => probe.looks > 2, stopAfterSleeps: 10 });
    await vi.waitFor(() => expect(sleeps).toHaveLength(10));
    expect(sleeps.slice(0, 2)).toEqual([10_000, 50]);
    for (const ms of sleeps.slice(2)) expect(ms).toBeGreaterThanOrEqual(1_000);
  });
});

test("when a parent is back its children are looked at at once, and none is told by its last look", async () => {
  const world = { now: DOWN };
  const policy = { ...POLICY, splayMs: 0, confirm: { looks: 1, pauseMs: 0 } };
  const look = async () => [world.now];
  const dependsOn = [{ kind: "service", name: "parent" }] as const;
  const probes = [
    { ...scripted({ name: "parent", policy: { ...policy, intervalMs: 20 } }, []), look },
    { ...scripted({ name: "child", policy: { ...policy, intervalMs: 60_000, dependsOn } }, []), look },
  ];
  const told = new Set<string>();
  const { watch, firstLook } = start(probes, {
    stopAfterSleeps: Infinity,
    now: realTime,
    sleep: async (ms, signal) => {
      await sleepFor(ms, undefined, { signal });
    },
    onChange: () => told.add(JSON.stringify(statesOf(watch))),
  });
  await firstLook;
  expect(statesOf(watch)).toEqual({ parent: "down", child: "unknown" });
  world.now = UP;
  await vi.waitFor(() => expect(statesOf(watch)).toEqual({ parent: "up", child: "up" }));
  expect([...told].filter((states) => states.includes('"child":"down"'))).toEqual([]);
});

test("the same thing twice in a file is looked at twice, and each counts for itself", async () => {
  const policy = { recover: { looks: 2 }, confirm: { looks: 1, pauseMs: 0 } };
  const { watch, firstLook } = start([script([DOWN], policy), script([DOWN], policy)], {
    stopAfterSleeps: 1,
  });
  await firstLook;
  await watch.replace([script([UP], policy), script([UP], policy)]);
  expect(watch.targets().map(({ state }) => state)).toEqual(["down", "down"]);
});

/** A probe of one target that sees one observation after the other, the last for ever. */
function scripted(
  target: Parameters<typeof targetOf>[0],
  observations: readonly Observation[],
): Probe & { looks: number } {
  return {
    looks: 0,
    targets: [targetOf(target)],
    async look() {
      const seen = observations[Math.min(this.looks, observations.length - 1)] ?? UP;
      this.looks += 1;
      return [seen];
    },
  };
}

function script(observations: readonly Observation[], policy: Partial<Policy> = {}) {
  return scripted({ policy: { ...POLICY, ...policy } }, observations);
}

function named(name: string, observations: readonly Observation[], subject = name) {
  return scripted({ name, subject }, observations);
}

function statesOf(watch: { targets(): readonly { name: string; state: string }[] }) {
  return Object.fromEntries(watch.targets().map(({ name, state }) => [name, state]));
}

interface Start extends Partial<WatchOptions> {
  readonly stopAfterSleeps: number;
}

function realTime() {
  return { wallMs: Date.now(), monotonicMs: performance.now() };
}

/** Runs the loop with sleeps that are recorded and move a clock of their own, until there were so many. */
function start(probes: Probe | readonly Probe[], { stopAfterSleeps, ...options }: Start) {
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const sleeps: number[] = [];
  let clockMs = 1_000_000;
  const onChange = vi.fn<() => void>();
  const list = "look" in probes ? [probes] : probes;
  const watch = startWatch(
    {
      concurrency: 100,
      now: () => ({ wallMs: clockMs, monotonicMs: clockMs }),
      random: () => 0,
      isExcused: () => false,
      sleep: async (ms, signal) => {
        sleeps.push(ms);
        if (sleeps.length < stopAfterSleeps) {
          await new Promise((resolve) => setImmediate(resolve));
          clockMs += ms;
          return signal.throwIfAborted();
        }
        await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(new Error("stopped"))),
        );
      },
      log: pino({ level: "silent" }),
      onChange,
      ...options,
    },
    stopping.signal,
  );
  const firstLook = watch.replace(list);
  const [first] = list;
  const looks = () => (first && "looks" in first ? Number(first.looks) : 0);
  return { watch, firstLook, sleeps, onChange, looks };
}
