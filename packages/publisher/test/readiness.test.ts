import { expect, test } from "vitest";
import { unreadyReasons } from "../src/readiness.ts";

const isConnected = true;
const blockedBecause = undefined;

test.each([
  {
    what: "nothing was confirmed yet",
    progress: { isConnected, blockedBecause, confirmedAgoMs: undefined, intervalMs: 60_000 },
    reasons: ["no heartbeat has been confirmed yet"],
  },
  {
    what: "one was just confirmed",
    progress: { isConnected, blockedBecause, confirmedAgoMs: 0, intervalMs: 60_000 },
    reasons: [],
  },
  {
    what: "two intervals have passed",
    progress: { isConnected, blockedBecause, confirmedAgoMs: 120_000, intervalMs: 60_000 },
    reasons: [],
  },
  {
    what: "more have passed",
    progress: { isConnected, blockedBecause, confirmedAgoMs: 120_001, intervalMs: 60_000 },
    reasons: ["no heartbeat has been confirmed for 120 s"],
  },
  {
    what: "very short intervals have passed",
    progress: { isConnected, blockedBecause, confirmedAgoMs: 5_000, intervalMs: 100 },
    reasons: [],
  },
  {
    what: "many very short intervals have passed",
    progress: { isConnected, blockedBecause, confirmedAgoMs: 5_001, intervalMs: 100 },
    reasons: ["no heartbeat has been confirmed for 5 s"],
  },
  {
    what: "the connection is gone",
    progress: { isConnected: false, blockedBecause, confirmedAgoMs: 1, intervalMs: 60_000 },
    reasons: ["the broker is not connected"],
  },
  {
    what: "the broker takes nothing",
    progress: { isConnected, blockedBecause: "low on disk", confirmedAgoMs: 1, intervalMs: 60_000 },
    reasons: ["the broker takes no messages: low on disk"],
  },
  {
    what: "the broker was never there",
    progress: { isConnected: false, blockedBecause, confirmedAgoMs: undefined, intervalMs: 60_000 },
    reasons: ["the broker is not connected", "no heartbeat has been confirmed yet"],
  },
])("when $what, so says /readyz", ({ progress, reasons }) => {
  expect(unreadyReasons(progress)).toEqual(reasons);
});
