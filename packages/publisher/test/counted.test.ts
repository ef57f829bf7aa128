import { expect, test } from "vitest";
import { judgeChosen, judgeFallback } from "../src/probes/counted.ts";
import { ManagementError } from "../src/probes/management.ts";
import type { Counted } from "../src/probes/passive.ts";
import type { QueueTarget } from "../src/probes/queue-target.ts";
import { inWords } from "./in-words.ts";
import { bare, pair } from "./queues.ts";

const REFUSED: Counted = { reason: "queue_refused", detail: "403" };

test.each<{ counted: Counted; target: QueueTarget; says: string[] }>([
  { counted: 0, target: pair, says: Array(3).fill("down consumer_missing") },
  {
    counted: 1,
    target: pair,
    says: ["down consumer_missing", "unknown tag_unchecked", "unknown tag_unchecked"],
  },
  { counted: 2, target: pair, says: Array(3).fill("up tag_unchecked") },
  { counted: 3, target: pair, says: Array(3).fill("up tag_unchecked") },
  { counted: "missing", target: pair, says: Array(3).fill("down queue_missing") },
  { counted: "locked", target: pair, says: Array(3).fill("unknown queue_locked") },
  { counted: REFUSED, target: pair, says: Array(3).fill("unknown queue_refused") },
  { counted: 0, target: bare, says: ["up"] },
  { counted: "locked", target: bare, says: ["up"] },
  { counted: "missing", target: bare, says: ["down queue_missing"] },
  { counted: REFUSED, target: bare, says: ["unknown queue_refused"] },
])("by choice: $counted on the queue $target.queue says $says", ({ counted, target, says }) => {
  expect(inWords(judgeChosen(target, counted, target.listeners.length))).toEqual(says);
});

test("by choice: one consumer is too few for two entries of the same queue", () => {
  const entry = { ...pair, listeners: pair.listeners.slice(0, 1) };
  expect(inWords(judgeChosen(entry, 1, 2))).toEqual(["down consumer_missing", "unknown tag_unchecked"]);
});

test.each<{ counted: Counted; target: QueueTarget; says: string[] }>([
  { counted: 0, target: pair, says: Array(3).fill("down consumer_missing") },
  { counted: 1, target: pair, says: Array(3).fill("unknown management_refused") },
  { counted: 2, target: pair, says: Array(3).fill("unknown management_refused") },
  { counted: 1_000, target: pair, says: Array(3).fill("unknown management_refused") },
  { counted: "missing", target: pair, says: Array(3).fill("down queue_missing") },
  { counted: "locked", target: pair, says: Array(3).fill("unknown management_refused") },
  { counted: REFUSED, target: pair, says: Array(3).fill("unknown management_refused") },
  { counted: 5, target: bare, says: ["up"] },
  { counted: "locked", target: bare, says: ["up"] },
  { counted: "missing", target: bare, says: ["down queue_missing"] },
  { counted: REFUSED, target: bare, says: ["unknown management_refused"] },
])(
  "in the place of the management API: $counted on the queue $target.queue says $says",
  ({ counted, target, says }) => {
    const problem = new ManagementError("management_refused", "401");
    expect(inWords(judgeFallback(target, counted, problem))).toEqual(says);
  },
);
