import type { Reason } from "../probe.ts";

/** The part of an AMQP channel that is used. A refused `checkQueue` (a passive declare) closes it. */
export interface QueueChannel {
  checkQueue(queue: string): Promise<{ readonly consumerCount: number }>;
  close(): Promise<unknown>;
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
 * that does not answer holds up the next look instead of getting more channels from it.
 * The count has its limits: that of a stream is always 0, and of a single active consumer on a quorum queue those that
 * wait are left out.
 */
export function passiveCounts(openChannel: () => Promise<QueueChannel>): CountConsumers {
  let ended: Promise<unknown> = Promise.resolve();

  return async (queues, signal) => {
    const counted = new Map<string, Counted>();
    const aborted = untilAborted(signal);
    await Promise.race([ended, aborted]);
    if (!signal.aborted) {
      const waiting = queues.values();
      const lanes = Array.from({ length: Math.min(MAX_CHANNELS, queues.length) }, () =>
        countInTurn(openChannel, waiting, counted, signal),
      );
      ended = Promise.all(lanes);
      await Promise.race([ended, aborted]);
    }
    return new Map(queues.map((queue) => [queue, counted.get(queue) ?? NO_ANSWER]));
  };
}

/** Takes one queue after the other until none is left; its channel is closed when it ends. */
async function countInTurn(
  openChannel: () => Promise<QueueChannel>,
  waiting: Iterator<string>,
  counted: Map<string, Counted>,
  signal: AbortSignal,
): Promise<void> {
  let channel: QueueChannel | undefined;
  for (let next = waiting.next(); !next.done && !signal.aborted; next = waiting.next()) {
    try {
      channel ??= await openChannel();
      counted.set(next.value, (await channel.checkQueue(next.value)).consumerCount);
    } catch (error) {
      counted.set(next.value, answerOf(error));
      await closeQuietly(channel);
      channel = undefined;
    }
  }
  await closeQuietly(channel);
}

/** What a refused passive declare tells. */
function answerOf(error: unknown): Exclude<Counted, number> {
  const detail = error instanceof Error ? error.message : String(error);
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

async function closeQuietly(channel: QueueChannel | undefined): Promise<void> {
  try {
    await channel?.close();
  } catch {
    // The broker closed it with its refusal, or it ended with its connection.
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
