import type { Observation } from "../probe.ts";
import type { ManagementError } from "./management.ts";
import type { Counted } from "./passive.ts";
import { allAre, type QueueTarget } from "./queue-target.ts";

/** Accompanies `up` as well as `unknown`: the consumers that were counted may be others than the expected ones. */
const UNCHECKED = {
  reason: "tag_unchecked",
  detail: "consumers are counted, their tags are not seen",
} as const;
const MISSING: Observation = { state: "down", reason: "queue_missing" };
const NONE: Observation = { state: "down", reason: "consumer_missing", detail: "consumers attached: 0" };
const LOCKED = "the queue is exclusive to another connection";

/**
 * What a count says where the operator chose to go by counts: as many consumers as are expected are taken for the
 * right ones. `expected` is the number of listeners of all entries for this queue.
 */
export function judgeChosen(target: QueueTarget, counted: Counted, expected: number): Observation[] {
  if (counted === "missing") return allAre(target, MISSING);
  if (typeof counted === "object") return allAre(target, { state: "unknown", ...counted });
  if (target.listeners.length === 0) return [{ state: "up" }];
  if (counted === "locked") {
    return allAre(target, { state: "unknown", reason: "queue_locked", detail: LOCKED });
  }
  if (counted === 0) return allAre(target, NONE);
  if (counted >= expected) return allAre(target, { state: "up", ...UNCHECKED });
  const [, ...listeners] = allAre(target, { state: "unknown", ...UNCHECKED });
  const detail = `consumers attached: ${counted}, expected: ${expected}`;
  return [{ state: "down", reason: "consumer_missing", detail }, ...listeners];
}

/** What a count says in the place of the management API, whose problem is the reason: no count is enough for `up`. */
export function judgeFallback(
  target: QueueTarget,
  counted: Counted,
  { reason, message }: ManagementError,
): Observation[] {
  if (counted === "missing") return allAre(target, MISSING);
  const isThere = typeof counted !== "object";
  if (isThere && target.listeners.length === 0) return [{ state: "up" }];
  if (counted === 0) return allAre(target, NONE);
  return allAre(target, { state: "unknown", reason, detail: `${message}; ${inWords(counted)}` });
}

function inWords(counted: Exclude<Counted, "missing">): string {
  if (counted === "locked") return LOCKED;
  return typeof counted === "number" ? `consumers attached: ${counted}` : counted.detail;
}
