import { type Management, ManagementError, type QueueConsumer } from "./management.ts";
import type { Observation, Probe, Target } from "../probe.ts";
import type { TagPattern } from "../tag-pattern.ts";

export interface QueueTarget {
  readonly queue: string;
  readonly listeners: readonly Listener[];
}

interface Listener {
  readonly name: string;
  readonly matches: TagPattern;
}

export interface ConsumersOptions {
  readonly queues: readonly QueueTarget[];
  readonly management: Management;
  /** Date.now() of our own connection to the broker: its restart empties the statistics. */
  readonly brokerConnectedAtMs: () => number | undefined;
  readonly now: () => number;
}

/** After a restart of the broker the list of consumers can be falsely empty for about this long. */
const EMPTY_LIST_DOUBT_MS = 10_000;

/**
 * Looks whether each expected consumer is attached to its queue: all queues in one call where the user may see all
 * consumers, queue by queue otherwise. Each queue's target comes before those of its listeners.
 */
export function consumersProbe({ queues, management, brokerConnectedAtMs, now }: ConsumersOptions): Probe {
  const names = [...new Set(queues.map(({ queue }) => queue))];
  const expecting = queues.filter(({ listeners }) => listeners.length > 0);
  let seesAll = false;
  // Whether any consumer was seen since our connection was last lost: from then on an empty list is true.
  let hasSeenSome = false;
  let lastConnectedAtMs: number | undefined;

  async function lookAt(signal: AbortSignal): Promise<Observation[]> {
    try {
      let listed = seesAll ? byQueue(await management.consumers(signal)) : undefined;
      const seen = listed && judge(listed);
      if (seen?.every(({ state }) => state === "up")) return seen;
      // Asked again whenever something is amiss: a user who lost the tag sees only his own consumers, with 200.
      seesAll = await management.seesAllConsumers(signal);
      if (!seesAll) listed = undefined;
      else listed ??= byQueue(await management.consumers(signal));
      return judge(await withUnlisted(listed ?? new Map(), signal));
    } catch (error) {
      if (!(error instanceof ManagementError)) throw error;
      return all(unanswered(error));
    }
  }

  /** The list has no line for a queue without consumers, whether it exists or not. */
  async function withUnlisted(listed: Attached, signal: AbortSignal): Promise<Attached> {
    const unlisted = names.filter((queue) => !listed.has(queue));
    const asked = unlisted.map(async (queue) => [queue, await askFor(queue, signal)] as const);
    return new Map([...listed, ...(await Promise.all(asked))]);
  }

  /** One queue about which the API cannot answer says nothing about the others. */
  async function askFor(queue: string, signal: AbortSignal): Promise<Answer> {
    try {
      return await management.consumersOf(queue, signal);
    } catch (error) {
      if (error instanceof ManagementError) return error;
      throw error;
    }
  }

  function judge(attached: Attached): Observation[] {
    const connectedAtMs = brokerConnectedAtMs();
    if (lastConnectedAtMs !== undefined && connectedAtMs !== lastConnectedAtMs) hasSeenSome = false;
    lastConnectedAtMs = connectedAtMs;
    const isEmpty =
      expecting.length > 0 && expecting.every(({ queue }) => !hasConsumers(attached.get(queue)));
    hasSeenSome ||= !isEmpty;
    if (isEmpty && !hasSeenSome && isFresh(connectedAtMs, now())) {
      return all({ state: "unknown", reason: "list_empty_after_connect" });
    }
    return queues.flatMap((queue) => judgeQueue(queue, attached.get(queue.queue)));
  }

  function all(observation: Observation): Observation[] {
    return queues.flatMap(targetsOf).map(() => observation);
  }

  return {
    targets: queues.flatMap(targetsOf),
    // The statistics lag by up to 5 s: a second look before the next interval would see the same.
    confirmAfterMs: undefined,
    async look(signal) {
      const startedMs = performance.now();
      const observations = await lookAt(signal);
      const latencyMs = Math.round((performance.now() - startedMs) * 10) / 10;
      return observations.map((observation) => ({ ...observation, latencyMs }));
    },
  };
}

function targetsOf({ queue, listeners }: QueueTarget): Target[] {
  return [
    { kind: "queue", name: queue, section: "queues", probe: "consumers" },
    ...listeners.map(({ name }): Target => ({
      kind: "service",
      name,
      section: "services",
      probe: "consumers",
    })),
  ];
}

/** The queue's own observation and one for each listener. */
export function judgeQueue(target: QueueTarget, consumers: Answer): Observation[] {
  if (!consumers) return targetsOf(target).map(() => ({ state: "down", reason: "queue_missing" }));
  if (consumers instanceof ManagementError) return targetsOf(target).map(() => unanswered(consumers));
  const { listeners } = target;
  const found = listeners.map((listener) => judgeListener(listener, consumers));
  const worst = found.find(({ state }) => state === "down") ?? found.find(({ state }) => state === "unknown");
  return [worst ?? { state: "up" }, ...found];
}

function unanswered({ reason, message }: ManagementError): Observation {
  return { state: "unknown", reason, detail: message };
}

function judgeListener({ matches }: Listener, consumers: readonly QueueConsumer[]): Observation {
  const matching = consumers.filter(({ tag }) => matches(tag));
  if (matching.some(({ activity }) => ATTACHED.has(activity))) return { state: "up" };
  return matching.length > 0
    ? { state: "unknown", reason: "consumer_inactive" }
    : { state: "down", reason: "consumer_missing" };
}

/** `waiting` is the stand-by of a single active consumer: attached, too. */
const ATTACHED: ReadonlySet<string> = new Set(["up", "single_active", "waiting"]);

/** The consumers of a queue; undefined when it does not exist. */
type Answer = readonly QueueConsumer[] | ManagementError | undefined;

type Attached = ReadonlyMap<string, Answer>;

function byQueue(consumers: readonly QueueConsumer[]): Attached {
  return Map.groupBy(consumers, ({ queue }) => queue);
}

/** No answer is no empty answer. */
function hasConsumers(answer: Answer): boolean {
  return answer instanceof ManagementError || (answer !== undefined && answer.length > 0);
}

function isFresh(connectedAtMs: number | undefined, nowMs: number): boolean {
  return connectedAtMs === undefined || nowMs - connectedAtMs < EMPTY_LIST_DOUBT_MS;
}
