import type { Observation, Values } from "../probe.ts";
import type { Depth, QueueAnswer } from "./queue-answer.ts";
import { NOT_COUNTED_YET, queueTrouble } from "./queue-state.ts";
import { progressOf, type StallClock, stoodStillForMs } from "./stall.ts";

export const USUAL_STALLED_AFTER_MS = 300_000;

export interface QueueLimits {
  readonly maxDepth?: number | undefined;
  readonly maxUnacknowledged?: number | undefined;
  /** Milliseconds, as an option's seconds are parsed; undefined when it was not asked for. */
  readonly stalledAfter?: number | undefined;
}

/** `clock` is undefined when nothing waits for anybody. */
export function judgeQueue(
  answer: QueueAnswer | undefined,
  limits: QueueLimits,
  clock: StallClock | undefined,
  nowMs: number,
): Observation {
  const trouble = queueTrouble(answer);
  if (!answer || trouble) return trouble ?? NOT_COUNTED_YET;
  const { depth, isStream } = answer;
  const refused = Object.entries(limits).flatMap(([name, limit]) => (limit === undefined ? [] : [name]));
  if (isStream && refused.length > 0) {
    const detail = `a stream keeps its messages after they were taken: remove ${refused.join(", ")}`;
    return { state: "unknown", reason: "queue_is_stream", detail };
  }
  if (!depth) return NOT_COUNTED_YET;
  const values = { ...valuesOf(depth), consumers: answer.consumers };
  if (isStream) return { state: "up", values };
  const found = tooMany(depth, limits) ?? stalled(clock, nowMs, limits) ?? { state: "up" };
  return { ...found, values: { ...values, ...stalledSeconds(clock, nowMs) } };
}

function valuesOf({ ready, unacknowledged }: Depth): Values {
  return { messages_ready: ready, messages_unacknowledged: unacknowledged };
}

function tooMany(
  { messages, unacknowledged }: Depth,
  { maxDepth = Infinity, maxUnacknowledged = Infinity }: QueueLimits,
): Observation | undefined {
  if (messages > maxDepth) {
    const detail = `messages: ${messages}, at most ${maxDepth} are allowed`;
    return { state: "down", reason: "queue_too_deep", detail };
  }
  if (unacknowledged > maxUnacknowledged) {
    const detail = `unacknowledged messages: ${unacknowledged}, at most ${maxUnacknowledged} are allowed`;
    return { state: "down", reason: "queue_too_many_unacknowledged", detail };
  }
  return undefined;
}

function stalled(clock: StallClock | undefined, nowMs: number, limits: QueueLimits): Observation | undefined {
  const afterMs = limits.stalledAfter ?? USUAL_STALLED_AFTER_MS;
  const progress = clock ? progressOf(clock, nowMs, afterMs) : "fine";
  if (!clock || progress === "fine") return undefined;
  const forS = Math.floor((nowMs - clock.sinceMs) / 1_000);
  if (progress === "stalled") {
    const detail = `messages wait, consumers are attached, and for ${forS} s none was acknowledged`;
    return { state: "down", reason: "queue_stalled", detail };
  }
  const detail = `messages wait for ${forS} s, and RabbitMQ does not count what these consumers acknowledge`;
  return { state: "unknown", reason: "progress_unknown", detail };
}

function stalledSeconds(clock: StallClock | undefined, nowMs: number): Values {
  if (!clock) return { stalled_seconds: 0 };
  const forMs = stoodStillForMs(clock, nowMs);
  return forMs === undefined ? {} : { stalled_seconds: Math.floor(forMs / 1_000) };
}
