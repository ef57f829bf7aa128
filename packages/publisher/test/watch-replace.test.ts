import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Probe, Target } from "../src/probe.ts";
import { startWatch } from "../src/watch.ts";

const target = (name: string): Target => ({
  kind: "service",
  name,
  section: "services",
  probe: "tcp",
  subject: name,
  policy: {
    intervalMs: 60_000,
    timeoutMs: 60_000,
    splayMs: 0,
    confirm: { looks: 2, pauseMs: 1_000 },
    recover: { looks: 1 },
    flapping: undefined,
    severity: "fail",
    dependsOn: [],
  },
});

const up = (name: string): Probe => ({ targets: [target(name)], look: async () => [{ state: "up" }] });

/** Its look ends when it is aborted and, where that is given, what it `waits` for has come; not before. */
function slow(name: string, waits?: Promise<void>) {
  const looks = { begun: 0, ended: 0 };
  const probe: Probe = {
    targets: [target(name)],
    async look(signal) {
      looks.begun += 1;
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await waits;
      looks.ended += 1;
      return [{ state: "down", reason: "timeout" }];
    },
  };
  return { probe, looks };
}

function started({ concurrency = 10 } = {}) {
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const onChange = vi.fn<() => void>();
  const watch = startWatch(
    {
      concurrency,
      now: () => ({ wallMs: Date.now(), monotonicMs: performance.now() }),
      random: () => 0,
      sleep: (_ms, signal) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("ended")))),
      isExcused: () => false,
      log: pino({ level: "silent" }),
      onChange,
    },
    stopping.signal,
  );
  return { watch, onChange, told: () => watch.targets().map(({ name, state }) => `${name} ${state}`) };
}

test("until all that is new has been looked at, the old is told", async () => {
  const { watch, told } = started();
  await watch.replace([up("a")]);
  const b = slow("b");
  void watch.replace([up("a"), b.probe]);
  await vi.waitFor(() => expect(b.looks.begun).toBe(1));
  expect(told()).toEqual(["a up"]);
});

test("of several that come while their first looks are under way, the last one counts", async () => {
  const { watch, told, onChange } = started();
  await watch.replace([up("a")]);
  const b = slow("b");
  const second = watch.replace([b.probe]);
  await vi.waitFor(() => expect(b.looks.begun).toBe(1));
  const third = watch.replace([up("c")]);
  const fourth = watch.replace([up("a"), up("d")]);
  await Promise.all([second, third, fourth]);
  expect(told()).toEqual(["a up", "d up"]);
  expect(b.looks).toEqual({ begun: 1, ended: 1 });
  expect(onChange).toHaveBeenCalled();
});

test("also when the one before it ends last", async () => {
  const { watch, told } = started();
  await watch.replace([up("a")]);
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const b = slow("b", released);
  const second = watch.replace([b.probe]);
  await vi.waitFor(() => expect(b.looks.begun).toBe(1));
  await watch.replace([up("c")]);
  release();
  await second;
  expect(told()).toEqual(["c up"]);
});

test("also when that is what was there before", async () => {
  const { watch, told } = started();
  await watch.replace([up("a")]);
  const b = slow("b");
  const second = watch.replace([b.probe]);
  const third = watch.replace([up("a")]);
  await Promise.all([second, third]);
  expect(told()).toEqual(["a up"]);
});

test("looks that still wait for their turn when they are replaced are not begun", async () => {
  const { watch, told } = started({ concurrency: 1 });
  await watch.replace([up("a")]);
  const [first, waiting] = [slow("b"), slow("c")];
  const second = watch.replace([first.probe, waiting.probe]);
  await vi.waitFor(() => expect(first.looks.begun).toBe(1));
  await Promise.all([second, watch.replace([up("d")])]);
  expect(told()).toEqual(["d up"]);
  expect(waiting.looks.begun).toBe(0);
});
