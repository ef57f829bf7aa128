import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import type { Observation } from "../probe.ts";
import { managementLook } from "./management-look.ts";
import { text, whole } from "./options.ts";
import { askQueue, MOST_MESSAGES, type QueueAnswer } from "./queue-answer.ts";
import { NOT_COUNTED_YET, queueTrouble } from "./queue-state.ts";
import { timed } from "./timed.ts";

/** Up when a queue of messages that nobody could handle is empty, or nearly so. */
export const deadLetter = probeKind({
  summary: "a dead-letter queue with few messages in it, or none",
  kind: "queue",
  asks: "broker",
  options: z.strictObject({
    queue: text().describe("its name"),
    max: whole(0, MOST_MESSAGES)
      .default(0)
      .describe("at most so many messages, ready and unacknowledged (0)"),
  }),
  values: { dead_letters: "messages in the dead-letter queue" },
  defaultName: ({ queue }) => queue,
  start: ({ queue, max }, { management, broker: { vhost } }) => {
    const look = async (signal: AbortSignal) =>
      judgeDeadLetters(await askQueue(management, vhost, queue, signal), max);
    return timed(managementLook(look));
  },
});

function judgeDeadLetters(answer: QueueAnswer | undefined, max: number): Observation {
  const trouble = queueTrouble(answer);
  if (!answer || trouble) return trouble ?? NOT_COUNTED_YET;
  if (answer.isStream) {
    const detail = "a stream keeps its messages after they were taken: how many wait is not known";
    return { state: "unknown", reason: "queue_is_stream", detail };
  }
  if (!answer.depth) return NOT_COUNTED_YET;
  const { messages } = answer.depth;
  const values = { dead_letters: messages };
  if (messages <= max) return { state: "up", values };
  return {
    state: "down",
    reason: "dead_letters",
    detail: `messages: ${messages}, at most ${max} are allowed`,
    values,
  };
}
