import type { QueueConsumer } from "../src/probes/management-answers.ts";
import type { QueueTarget } from "../src/probes/queue-target.ts";

export const ingest: QueueTarget = {
  queue: "ingest",
  listeners: [{ name: "sda-ingest", matches: (tag) => tag.includes("ingest") }],
};
export const pair: QueueTarget = {
  queue: "pair",
  listeners: [
    { name: "a", matches: (tag) => tag === "a" },
    { name: "b", matches: (tag) => tag === "b" },
  ],
};
export const bare: QueueTarget = { queue: "bare", listeners: [] };

export function attached(tag: string, activity = "up", queue = "ingest"): QueueConsumer {
  return { queue, tag, activity };
}
