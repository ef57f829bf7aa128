import { printable } from "@pipeline-heartbeat/shared/printable.ts";
import type { Observation } from "../probe.ts";
import type { QueueAnswer } from "./queue-answer.ts";

/** A queue whose statistics are absent in its first seconds has no state either. */
const WORKING: ReadonlySet<string | undefined> = new Set([
  undefined,
  "running",
  "live",
  "idle",
  "flow",
  "syncing",
]);
const FAILED: ReadonlySet<string | undefined> = new Set([
  "down",
  "stopped",
  "crashed",
  "terminated",
  "minority",
  "noproc",
]);
const STATE_LENGTH = 40;

/** What keeps its numbers from telling anything. */
export function queueTrouble(answer: QueueAnswer | undefined): Observation | undefined {
  if (!answer) return { state: "down", reason: "queue_missing" };
  const { state, hasStatistics } = answer;
  if (WORKING.has(state)) return hasStatistics ? undefined : STATISTICS_DISABLED;
  const detail = `RabbitMQ calls its state "${printable(state ?? "").slice(0, STATE_LENGTH)}"`;
  return { state: FAILED.has(state) ? "down" : "unknown", reason: "queue_failed", detail };
}

const STATISTICS_DISABLED: Observation = {
  state: "unknown",
  reason: "statistics_disabled",
  detail: "the management API has its statistics switched off",
};

export const NOT_COUNTED_YET: Observation = {
  state: "unknown",
  reason: "management_failed",
  detail: "there are no statistics of the queue yet",
};
