import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { nextDueMs, startBeats } from "../src/beat.ts";

const HOUR_MS = 3_600_000;

/** Beats into a list of causes. `refuse` and `disconnected` can be switched while they run. */
function start(intervalMs: number) {
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const broker = { causes: [] as string[], refused: 0, refuse: false, disconnected: false };
  const beats = startBeats(
    {
      intervalMs,
      canSend: () => !broker.disconnected,
      async send(cause) {
        await sleep(1);
        if (broker.refuse) {
          broker.refused += 1;
          throw new Error("refused");
        }
        broker.causes.push(cause);
      },
      log: pino({ level: "silent" }),
    },
    stopping.signal,
  );
  return { broker, beats };
}

test("sends at start and at every interval", async () => {
  const { broker } = start(300);
  await vi.waitFor(() => expect(broker.causes.length).toBeGreaterThanOrEqual(3), { timeout: 3_000 });
  expect(new Set(broker.causes)).toEqual(new Set(["interval"]));
});

test("sends a change at once, whatever the interval", async () => {
  const { broker, beats } = start(HOUR_MS);
  await vi.waitFor(() => expect(broker.causes).toEqual(["interval"]));
  beats.changed();
  await vi.waitFor(() => expect(broker.causes).toEqual(["interval", "change"]));
});

test("changes that come together share a heartbeat", async () => {
  const { broker, beats } = start(HOUR_MS);
  await vi.waitFor(() => expect(broker.causes).toHaveLength(1));
  for (let change = 0; change < 50; change += 1) beats.changed();
  await vi.waitFor(() => expect(broker.causes).toHaveLength(2));
  beats.changed();
  await vi.waitFor(() => expect(broker.causes).toHaveLength(3));
});

test("a change that could not be sent is sent when the broker is there again", async () => {
  const { broker, beats } = start(HOUR_MS);
  await vi.waitFor(() => expect(broker.causes).toHaveLength(1));
  broker.disconnected = true;
  beats.changed();
  broker.disconnected = false;
  beats.connected();
  await vi.waitFor(() => expect(broker.causes).toEqual(["interval", "change"]));
});

test("what was refused is tried again", async () => {
  const { broker, beats } = start(HOUR_MS);
  await vi.waitFor(() => expect(broker.causes).toHaveLength(1));
  broker.refuse = true;
  beats.changed();
  await vi.waitFor(() => expect(broker.refused).toBe(1));
  broker.refuse = false;
  await vi.waitFor(() => expect(broker.causes).toEqual(["interval", "change"]), { timeout: 5_000 });
});

test.each([
  { what: "not due yet", dueMs: 100, nowMs: 50, next: 100 },
  { what: "just sent", dueMs: 100, nowMs: 100, next: 160 },
  { what: "sent late", dueMs: 100, nowMs: 130, next: 160 },
  { what: "a missed interval is not made up", dueMs: 100, nowMs: 225, next: 280 },
])("$what: the next heartbeat stays on the grid", ({ dueMs, nowMs, next }) => {
  expect(nextDueMs(dueMs, nowMs, 60)).toBe(next);
});
