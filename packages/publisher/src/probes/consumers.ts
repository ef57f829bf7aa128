import { setTimeout as sleep } from "node:timers/promises";
import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import type { Logger } from "pino";
import type { Observation, Probe } from "../probe.ts";
import { judgeChosen, judgeFallback } from "./counted.ts";
import { emptyListDoubt } from "./empty-list-doubt.ts";
import { askManagement, judgeListed, type Listed } from "./listed.ts";
import { ManagementError, type ManagementQuestions } from "./management.ts";
import type { CountConsumers, Counted } from "./passive.ts";
import { allAre, type QueueTarget, targetsOf } from "./queue-target.ts";

/** Who is asked: the management API, the broker itself (by passive declares), or the second where the first fails. */
export type ConsumerSource = "auto" | "management" | "passive";

export interface ConsumersOptions {
  readonly queues: readonly QueueTarget[];
  /** All that the file names: a count cannot tell the consumers of one entry from those of another. */
  readonly allQueues: readonly QueueTarget[];
  readonly source: ConsumerSource;
  readonly management: ManagementQuestions;
  /** Whether that is the API of the broker that we are connected to, which has to be known before it is asked. */
  readonly isManagementOfOurBroker: boolean;
  readonly count: CountConsumers;
  /**
   * How much of a look's time goes by before it does without: in `auto` without the API, so that the broker is asked
   * beside it; where a connection is needed without one, which may be just about to come.
   */
  readonly patienceMs: number;
  /** Date.now() of our own connection to the broker: its restart empties the statistics. */
  readonly brokerConnectedAtMs: () => number | undefined;
  readonly now: () => number;
  /** A look that is cut off by our own stop says nothing about the API. */
  readonly stopping: AbortSignal;
  readonly log: Logger;
}

const BETWEEN_CHECKS_MS = 50;

/** For a queue that a source leaves out, against its promise: that is no knowledge. */
const NOT_LISTED = new ManagementError("management_failed", "the queue was not asked for");
const NOT_COUNTED = { reason: "queue_failed", detail: "the queue was not asked for" } as const;

/** Looks whether each expected consumer is attached to its queue. Each queue's target comes before its listeners'. */
export function consumersProbe(options: ConsumersOptions): Probe {
  const { queues, source, count, patienceMs, brokerConnectedAtMs, now } = options;
  const expected = expectedConsumers(options.allQueues);
  const names = [...new Set(queues.map(({ queue }) => queue))];
  const list = askManagement(queues, options.management);
  const isFalselyEmpty = emptyListDoubt(queues);
  const outage = outageLog("management API", options.log);

  async function look(signal: AbortSignal): Promise<Observation[]> {
    if (source === "passive" || options.isManagementOfOurBroker) await connected(signal);
    if (source === "passive") {
      return judgeCounts(await count(names, signal));
    }
    const asked = list(signal);
    const doubtful = source === "auto" ? unanswered(await early(asked, patienceMs)) : [];
    const [listed, counts] = await Promise.all([asked, count(doubtful, signal)]);
    tellOutage(listed);
    const isDoubted = isFalselyEmpty(listed, brokerConnectedAtMs(), now());
    return queues.flatMap((target) => {
      if (isDoubted) return allAre(target, { state: "unknown", reason: "list_empty_after_connect" });
      const [found, counted] = [listed.get(target.queue) ?? NOT_LISTED, counts.get(target.queue)];
      return found instanceof ManagementError && counted !== undefined
        ? judgeFallback(target, counted, found)
        : judgeListed(target, found);
    });
  }

  /** A publisher that has just started would otherwise say for a whole interval that it knows nothing. */
  async function connected(signal: AbortSignal): Promise<void> {
    const untilMs = performance.now() + patienceMs;
    while (brokerConnectedAtMs() === undefined && performance.now() < untilMs && !signal.aborted) {
      await sleep(BETWEEN_CHECKS_MS);
    }
  }

  function judgeCounts(counts: ReadonlyMap<string, Counted>): Observation[] {
    return queues.flatMap((target) => {
      const counted = counts.get(target.queue) ?? NOT_COUNTED;
      return judgeChosen(target, counted, expected.get(target.queue) ?? 0);
    });
  }

  function unanswered(listed: ReadonlyMap<string, Listed> | undefined): string[] {
    return names.filter((queue) => !listed || listed.get(queue) instanceof ManagementError);
  }

  function tellOutage(listed: ReadonlyMap<string, Listed>): void {
    if (options.stopping.aborted) return;
    const problem = listed.values().find((found) => found instanceof ManagementError);
    if (!problem) outage.recovered();
    else if (source === "management") outage.failed(problem.message);
    else outage.failed(`${problem.message}; consumers are counted by passive declares meanwhile`);
  }

  return {
    targets: queues.flatMap(targetsOf),
    async look(signal) {
      const startedMs = performance.now();
      const observations = await look(signal);
      const latencyMs = Math.round((performance.now() - startedMs) * 10) / 10;
      return observations.map((observation) => ({ ...observation, latencyMs }));
    },
  };
}

/** How many consumers each queue should have, in all its entries. */
function expectedConsumers(queues: readonly QueueTarget[]): ReadonlyMap<string, number> {
  const expected = new Map<string, number>();
  for (const { queue, listeners } of queues) {
    const own = listeners.reduce((sum, { min }) => sum + min, 0);
    expected.set(queue, (expected.get(queue) ?? 0) + own);
  }
  return expected;
}

/** Undefined when it takes longer; it goes on nevertheless. */
async function early<Result>(asked: Promise<Result>, withinMs: number): Promise<Result | undefined> {
  const timer = new AbortController();
  const late = sleep(withinMs, undefined, { signal: timer.signal });
  try {
    return await Promise.race([asked, late]);
  } finally {
    timer.abort();
  }
}
