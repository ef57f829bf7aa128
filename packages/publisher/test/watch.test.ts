import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Observation, Probe } from "../src/probe.ts";
import { type Belief, believe, startWatch, unlooked, type WatchOptions } from "../src/watch.ts";

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

/** What is believed after each look, the first at 1 s, the next at 2 s, and so on. */
function beliefs(looks: readonly Observation[]): Belief[] {
  let belief = unlooked(0);
  return looks.map((seen, index) => (belief = believe(belief, seen, (index + 1) * 1_000)));
}

describe("the loop", () => {
  test("looks a second time after the probe's own pause, and tells of the change", async () => {
    const { sleeps, onChange, looks } = start(script([UP, DOWN, DOWN], 1_000), { stopAfterSleeps: 3 });
    await vi.waitFor(() => expect(sleeps).toHaveLength(3));
    expect(looks()).toBe(3);
    expect(sleeps[1]).toBe(1_000);
    // Up at the first look, down at the third.
    expect(onChange).toHaveBeenCalledTimes(2);
  });

  test("leaves the second look to the next interval where the probe says so", async () => {
    const { sleeps, looks } = start(script([UP, DOWN, DOWN], undefined), { stopAfterSleeps: 3 });
    await vi.waitFor(() => expect(sleeps).toHaveLength(3));
    expect(looks()).toBe(3);
    for (const ms of sleeps) expect(ms).toBeGreaterThan(9_000);
  });

  test("a look that hangs takes no longer than the time-out", async () => {
    const hanging: Probe = {
      ...script([], undefined),
      look: (signal) =>
        new Promise((resolve) =>
          signal.addEventListener("abort", () => resolve([{ state: "down", reason: "timeout" }])),
        ),
    };
    const startedMs = performance.now();
    const { watch } = start(hanging, { timeoutMs: 100, stopAfterSleeps: 1 });
    await watch.firstLook;
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });

  test("what a look leaves under way is aborted when it ends", async () => {
    let signalled: AbortSignal | undefined;
    const careless: Probe = {
      ...script([], undefined),
      look: async (signal) => {
        signalled = signal;
        return [UP];
      },
    };
    const { watch } = start(careless, { stopAfterSleeps: 1 });
    await watch.firstLook;
    expect(signalled?.aborted).toBe(true);
  });

  test.each([
    { what: "a look that never ends", look: () => new Promise<never>(() => {}) },
    { what: "one that tells less than it should", look: async () => [] },
  ])("$what makes its target unknown, not up", async ({ look }) => {
    let looks = 0;
    const probe: Probe = {
      ...script([], undefined),
      look: () => ((looks += 1) === 1 ? Promise.resolve([UP]) : look()),
    };
    const { watch } = start(probe, { timeoutMs: 1, stopAfterSleeps: 3 });
    await vi.waitFor(() => expect(watch.targets()[0]?.belief.state).toBe("unknown"), { timeout: 5_000 });
  });

  test("what nobody has looked at for long is unknown, not up", async () => {
    const { watch } = start(script([UP], undefined), { intervalMs: 20, timeoutMs: 20, stopAfterSleeps: 1 });
    await watch.firstLook;
    expect(watch.targets()[0]?.belief.state).toBe("up");
    const forgotten = { state: "unknown", reason: "not_looked_lately" };
    await vi.waitFor(() => expect(watch.targets()[0]?.belief).toMatchObject(forgotten));
  });

  test("since when it is unknown, and since when it is up again, is told as it was", async () => {
    const { promise: gate, resolve: lookAgain } = Promise.withResolvers<void>();
    const sleep = async (ms: number) => {
      await gate;
      await new Promise((resolve) => setTimeout(resolve, ms));
    };
    const timing = { intervalMs: 20, timeoutMs: 20, stopAfterSleeps: 1, sleep };
    const { watch } = start(script([UP], undefined), timing);
    await watch.firstLook;
    const belief = () => watch.targets()[0]?.belief;
    const upSinceMs = belief()?.sinceMs ?? Infinity;
    await vi.waitFor(() => expect(belief()?.state).toBe("unknown"), { interval: 1 });
    const unknownSinceMs = belief()?.sinceMs ?? 0;
    expect(unknownSinceMs).toBeGreaterThan(upSinceMs + 100);
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(unknownSinceMs));
    expect(belief()).toMatchObject({ state: "unknown", sinceMs: unknownSinceMs });
    lookAgain();
    await vi.waitFor(() => expect(belief()?.state).toBe("up"));
    expect(belief()?.sinceMs).toBeGreaterThan(unknownSinceMs);
  });

  test("no more probes look at the same time than allowed", async () => {
    let now = 0;
    let most = 0;
    const probes = Array.from({ length: 20 }, (): Probe => ({
      ...script([], undefined),
      async look() {
        now += 1;
        most = Math.max(most, now);
        await new Promise((resolve) => setImmediate(resolve));
        now -= 1;
        return [UP];
      },
    }));
    const { watch } = start(probes, { concurrency: 3, stopAfterSleeps: 1_000 });
    await watch.firstLook;
    expect(most).toBe(3);
    expect(watch.targets().every(({ belief }) => belief.state === "up")).toBe(true);
  });
});

/** A probe of one target that sees one observation after the other, the last for ever. */
function script(
  observations: readonly Observation[],
  confirmAfterMs: number | undefined,
): Probe & { looks: number } {
  return {
    looks: 0,
    targets: [{ kind: "service", name: "db", section: "hosts", probe: "tcp" }],
    confirmAfterMs,
    async look() {
      const seen = observations[Math.min(this.looks, observations.length - 1)] ?? UP;
      this.looks += 1;
      return [seen];
    },
  };
}

interface Start extends Partial<WatchOptions> {
  readonly stopAfterSleeps: number;
}

/** Runs the loop with sleeps that are recorded and take no time, until there were so many. */
function start(probes: Probe | readonly Probe[], { stopAfterSleeps, ...options }: Start) {
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const sleeps: number[] = [];
  const onChange = vi.fn<() => void>();
  const list = "look" in probes ? [probes] : probes;
  const watch = startWatch(
    {
      probes: list,
      intervalMs: 10_000,
      timeoutMs: 5_000,
      concurrency: 100,
      now: Date.now,
      sleep: async (ms, signal) => {
        sleeps.push(ms);
        if (sleeps.length < stopAfterSleeps) return;
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
  const [first] = list;
  const looks = () => (first && "looks" in first ? first.looks : 0);
  return { watch, sleeps, onChange, looks };
}
