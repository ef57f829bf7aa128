import type { Observation } from "../probe.ts";
import { ManagementError, type ManagementQuestions } from "./management.ts";
import type { QueueConsumer } from "./management-answers.ts";
import { judgeMatching } from "./matching-consumers.ts";
import { allAre, type Listener, type QueueTarget } from "./queue-target.ts";

/** What the management API tells of one queue. */
export type Listed = readonly QueueConsumer[] | "missing" | ManagementError;

/** Never rejects with a ManagementError: where the API could not be asked, that is what it tells. Every queue is in it. */
export type AskManagement = (signal: AbortSignal) => Promise<ReadonlyMap<string, Listed>>;

/**
 * Asks for the consumers of all queues: in two calls where the user may see all consumers, else queue by queue.
 * Quorum queues and streams that were deleted can stay in the list of consumers for two minutes, with consumers that
 * are `up`: that is what the list of queues is for.
 */
export function askManagement(
  queues: readonly QueueTarget[],
  management: ManagementQuestions,
): AskManagement {
  const names = [...new Set(queues.map(({ queue }) => queue))];
  let seesAll = false;

  async function ask(signal: AbortSignal): Promise<ReadonlyMap<string, Listed>> {
    let listed = seesAll ? await list(signal) : undefined;
    if (listed && isWell(listed)) return listed;
    // Asked again whenever something is amiss: a user who lost the tag sees only his own consumers, with 200.
    seesAll = await management.seesAllConsumers(signal);
    if (!seesAll) return await askEach(signal);
    listed ??= await list(signal);
    return listed;
  }

  async function list(signal: AbortSignal): Promise<ReadonlyMap<string, Listed>> {
    const [consumers, existing] = await Promise.all([
      management.consumers(signal),
      management.queues(signal),
    ]);
    const byQueue = Map.groupBy(consumers, ({ queue }) => queue);
    return new Map(
      names.map((queue) => [queue, existing.has(queue) ? (byQueue.get(queue) ?? []) : "missing"]),
    );
  }

  /** One queue about which the API cannot answer says nothing about the others. */
  async function askEach(signal: AbortSignal): Promise<ReadonlyMap<string, Listed>> {
    const asked = names.map(async (queue) => {
      const answer = management.consumersOf(queue, signal).then((found) => found ?? "missing");
      return [queue, await answer.catch(problemOnly)] as const;
    });
    return new Map(await Promise.all(asked));
  }

  function isWell(listed: ReadonlyMap<string, Listed>): boolean {
    return queues.every((target) => {
      const found = listed.get(target.queue);
      return found !== undefined && judgeListed(target, found).every(({ state }) => state === "up");
    });
  }

  return async (signal) => {
    try {
      return await ask(signal);
    } catch (error) {
      const problem = problemOnly(error);
      return new Map(names.map((queue) => [queue, problem]));
    }
  };
}

/** The queue's own observation and one for each listener. */
export function judgeListed(target: QueueTarget, listed: Listed): Observation[] {
  if (listed === "missing") return allAre(target, { state: "down", reason: "queue_missing" });
  if (listed instanceof ManagementError) return allAre(target, unanswered(listed));
  const found = target.listeners.map((listener) => judgeListener(listener, listed));
  const worst = found.find(({ state }) => state === "down") ?? found.find(({ state }) => state === "unknown");
  return [worst ?? { state: "up" }, ...found];
}

function judgeListener({ matches, min }: Listener, consumers: readonly QueueConsumer[]): Observation {
  return judgeMatching(
    consumers.filter(({ tag }) => matches(tag)),
    min,
  );
}

function unanswered({ reason, message }: ManagementError): Observation {
  return { state: "unknown", reason, detail: message };
}

function problemOnly(error: unknown): ManagementError {
  if (error instanceof ManagementError) return error;
  throw error;
}
