import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import type { Reason } from "../probe.ts";

/** The part of an AMQP channel that is used. A refused `checkQueue` (a passive declare) closes it. */
export interface QueueChannel {
  checkQueue(queue: string): Promise<{ readonly consumerCount: number }>;
  /** Never rejects. */
  close(): Promise<void>;
}

/** How many consumers a queue has. `locked`: it is exclusive to another connection, so that only its existence is told. */
export type Counted = number | "missing" | "locked" | CountProblem;

interface CountProblem {
  readonly reason: Reason;
  readonly detail: string;
}

/** Never rejects, and ends with the signal. Every queue is in what it returns. */
export type CountConsumers = (
  queues: readonly string[],
  signal: AbortSignal,
) => Promise<ReadonlyMap<string, Counted>>;

/** Queues are asked for side by side, because a channel answers one question after the other. */
const MAX_CHANNELS = 8;

const NO_ANSWER: CountProblem = { reason: "timeout", detail: "the broker did not answer in time" };

/**
 * Counts consumers by passive declares, on channels that are open only for this: a refusal closes its channel. A broker
 * that does not answer gets no more than these few, however many looks there are, and a queue that does not answer is
 * not asked again until it has.
 * The count has its limits: that of a stream is always 0, and of a single active consumer on a quorum queue those that
 * wait are left out.
 */
export function passiveCounts(openChannel: () => Promise<QueueChannel>): CountConsumers {
  const asking = new Set<string>();
  let channels = 0;

  /** Takes one queue after the other until none is left; its channel is closed when it ends. */
  async function countInTurn(
    waiting: Iterator<string>,
    counted: Map<string, Counted>,
    signal: AbortSignal,
  ): Promise<void> {
    let channel: QueueChannel | undefined;
    channels += 1;
    for (let next = waiting.next(); !next.done && !signal.aborted; next = waiting.next()) {
      const queue = next.value;
      asking.add(queue);
      try {
        channel ??= await openChannel();
        counted.set(queue, (await channel.checkQueue(queue)).consumerCount);
      } catch (error) {
        counted.set(queue, answerOf(error));
        await channel?.close();
        channel = undefined;
      }
      asking.delete(queue);
    }
    await channel?.close();
    channels -= 1;
  }

  return async (queues, signal) => {
    const counted = new Map<string, Counted>();
    const free = queues.filter((queue) => !asking.has(queue));
    const waiting = free.values();
    const turns = Array.from({ length: Math.min(MAX_CHANNELS - channels, free.length) }, () =>
      countInTurn(waiting, counted, signal),
    );
    await Promise.race([Promise.all(turns), untilAborted(signal)]);
    return new Map(queues.map((queue) => [queue, counted.get(queue) ?? NO_ANSWER]));
  };
}

/** What a refused passive declare tells. */
function answerOf(error: unknown): Exclude<Counted, number> {
  const detail = errorText(error);
  switch (replyCode(error)) {
    case undefined:
      return { reason: "broker_not_connected", detail };
    case 403:
      return { reason: "queue_refused", detail };
    case 404:
      // Also the code for a queue whose home node is down, that has crashed, or that did not answer the broker in time.
      return /\bno queue '/.test(detail) ? "missing" : { reason: "queue_failed", detail };
    case 405:
      return "locked";
    default:
      return { reason: "queue_failed", detail };
  }
}

function replyCode(error: unknown): number | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "number" ? code : undefined;
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
