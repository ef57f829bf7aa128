import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { nextDueMs, startBeats } from "../src/beat.ts";

const HOUR_MS = 3_600_000;

/** Beats into a list of causes, with what is logged; `onDue` may throw. */
function start(intervalMs: number, onDue: () => void = () => {}) {
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const causes: string[] = [];
  const lines: string[] = [];
  const beats = startBeats(
    {
      intervalMs,
      onDue(cause) {
        causes.push(cause);
        onDue();
      },
      log: pino({}, { write: (line: string) => void lines.push(line) }),
    },
    stopping.signal,
  );
  return { causes, lines, beats, stopping };
}

test("a heartbeat is due at start and at every interval", async () => {
  const { causes } = start(300);
  expect(causes).toEqual(["interval"]);
  await vi.waitFor(() => expect(causes.length).toBeGreaterThanOrEqual(3), { timeout: 3_000 });
  expect(new Set(causes)).toEqual(new Set(["interval"]));
});

test("a change is due at once, whatever the interval", async () => {
  const { causes, beats } = start(HOUR_MS);
  beats.changed();
  await vi.waitFor(() => expect(causes).toEqual(["interval", "change"]));
});

test("changes that come together share a heartbeat", async () => {
  const { causes, beats } = start(HOUR_MS);
  for (let change = 0; change < 50; change += 1) beats.changed();
  await vi.waitFor(() => expect(causes).toHaveLength(2));
  beats.changed();
  await vi.waitFor(() => expect(causes).toHaveLength(3));
});

test("one that fails is told, and does not end the others", async () => {
  const { causes, lines } = start(10, () => {
    throw new Error("broken");
  });
  await vi.waitFor(() => expect(causes.length).toBeGreaterThanOrEqual(2), { timeout: 3_000 });
  expect(lines[0]).toMatch(/"level":50.*broken.*heartbeat failed/);
});

test.each([
  { what: "not due yet", dueMs: 100, nowMs: 50, next: 100 },
  { what: "just sent", dueMs: 100, nowMs: 100, next: 160 },
  { what: "sent late", dueMs: 100, nowMs: 130, next: 160 },
  { what: "a missed interval is not made up", dueMs: 100, nowMs: 225, next: 280 },
])("$what: the next heartbeat stays on the grid", ({ dueMs, nowMs, next }) => {
  expect(nextDueMs(dueMs, nowMs, 60)).toBe(next);
});
