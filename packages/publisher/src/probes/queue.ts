import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import type { Observation } from "../probe.ts";
import { managementLook } from "./management-look.ts";
import { seconds, text, whole } from "./options.ts";
import { askQueue, MOST_MESSAGES, type QueueAnswer } from "./queue-answer.ts";
import { askStoodStillMs } from "./queue-history.ts";
import { judgeQueue, USUAL_STALLED_AFTER_MS } from "./queue-judgement.ts";
import { nextClock, type StallClock, startClock, type Waiting } from "./stall.ts";
import { timed } from "./timed.ts";

/** Counters of a queue that is worked on stand still for up to 10 s, as each of two steps takes up to 5 s. */
const STALLED_AFTER_S = { least: 10, most: 7 * 24 * 3_600, usual: USUAL_STALLED_AFTER_MS / 1_000 };

/** Up when a queue is not too deep, and its messages are taken wherever somebody is there to take them. */
export const queue = probeKind({
  summary: "a queue that is not too deep, and whose messages are taken",
  kind: "queue",
  asks: "broker",
  options: z.strictObject({
    queue: text().describe("its name"),
    maxDepth: whole(0, MOST_MESSAGES)
      .optional()
      .describe("at most so many messages, ready and unacknowledged (no limit)"),
    maxUnacknowledged: whole(0, MOST_MESSAGES)
      .optional()
      .describe("at most so many messages that were taken and not acknowledged (no limit)"),
    stalledAfter: seconds(STALLED_AFTER_S.least, STALLED_AFTER_S.most)
      .optional()
      .describe(
        `seconds without any acknowledgement, while messages wait and consumers are attached (${STALLED_AFTER_S.usual})`,
      ),
  }),
  values: {
    messages_ready: "messages that wait to be taken",
    messages_unacknowledged: "messages taken and not acknowledged",
    consumers: "consumers attached",
    stalled_seconds: "seconds without any acknowledgement while messages wait and consumers are attached",
  },
  defaultName: ({ queue }) => queue,
  start: ({ queue, ...limits }, { management, broker: { vhost } }) => {
    const overMs = limits.stalledAfter ?? USUAL_STALLED_AFTER_MS;
    let clock: StallClock | undefined;
    let isFirstAnswer = true;

    async function look(signal: AbortSignal): Promise<Observation> {
      const answer = await askQueue(management, vhost, queue, signal);
      const nowMs = performance.now();
      const waiting = answer && waitingIn(answer);
      // While there are no statistics, nothing is known to have changed.
      if (waiting !== "not known") clock = waiting && (await clockOf(waiting, nowMs, signal));
      isFirstAnswer &&= answer?.depth === undefined;
      return judgeQueue(answer, limits, clock, nowMs);
    }

    async function clockOf(waiting: Waiting, nowMs: number, signal: AbortSignal): Promise<StallClock> {
      if (clock) return nextClock(clock, waiting, nowMs);
      if (!isFirstAnswer) return startClock(waiting, nowMs);
      const stoodStillMs = await askStoodStillMs(management, { vhost, queue, overMs }, waiting, signal);
      return startClock(waiting, nowMs - stoodStillMs);
    }

    return timed(managementLook(look));
  },
});

/** Undefined when nothing waits, or nobody is there for whom it could wait. */
function waitingIn(answer: QueueAnswer): Waiting | "not known" | undefined {
  const { isStream, depth, consumers, uncountedConsumers, taken } = answer;
  if (!depth) return "not known";
  if (isStream || depth.messages === 0 || consumers === 0) return undefined;
  return { messages: depth.messages, taken, isCounted: uncountedConsumers === 0 };
}
