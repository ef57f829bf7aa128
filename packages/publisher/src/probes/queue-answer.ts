import * as z from "zod";
import { ManagementError, type ManagementQuestions } from "./management.ts";

/** So many are no mistake in a limit, and more than any queue holds. */
export const MOST_MESSAGES = 1_000_000_000_000;

/** What RabbitMQ says of one queue. Its statistics lag by up to 5 s, and are not there at all in a new queue's first. */
export interface QueueAnswer {
  readonly isStream: boolean;
  /** Undefined when RabbitMQ does not tell it. */
  readonly state: string | undefined;
  /** False when they are switched off. */
  readonly hasStatistics: boolean;
  /** Undefined while there are no statistics yet. */
  readonly depth: Depth | undefined;
  readonly consumers: number;
  /** Consumers of protocols whose acknowledgements RabbitMQ counts for no queue. */
  readonly uncountedConsumers: number;
  /**
   * How many messages were taken for good since the counting began: acknowledged, or taken by somebody who need not
   * acknowledge. Undefined when nothing is counted.
   */
  readonly taken: number | undefined;
}

export interface Depth {
  readonly ready: number;
  readonly unacknowledged: number;
  /** Of both together, counted at the same moment. */
  readonly messages: number;
}

/** RabbitMQ writes an object without anything in it as an empty array. */
export function emptyObject<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.preprocess((given) => (Array.isArray(given) && given.length === 0 ? {} : given), z.object(shape));
}

const count = z.number().nonnegative();

/** AMQP 1.0 has no channel since RabbitMQ 4, MQTT one without a name since 3.12: neither counts acknowledgements. */
const consumerSchema = emptyObject({
  channel_details: emptyObject({ name: z.string().optional() }).optional(),
});

const schema = z.object({
  name: z.string(),
  type: z.string().optional(),
  state: z.string().optional(),
  messages: count.optional(),
  messages_ready: count.optional(),
  messages_unacknowledged: count.optional(),
  consumers: count.optional(),
  consumer_details: z.array(consumerSchema).optional(),
  message_stats: emptyObject({
    ack: count.default(0),
    deliver_no_ack: count.default(0),
    get_no_ack: count.default(0),
  }).optional(),
});

const COLUMNS = [
  "name",
  "type",
  "state",
  "messages",
  "messages_ready",
  "messages_unacknowledged",
  "consumers",
  "consumer_details.channel_details.name",
  // As a whole: with columns of it RabbitMQ does not tell one that is absent from one that is empty.
  "message_stats",
].join(",");

export function queuePath(vhost: string, queue: string, query: string): string {
  return `queues/${encodeURIComponent(vhost)}/${encodeURIComponent(queue)}?${query}`;
}

/** Undefined when there is no such queue; rejects with ManagementError. */
export async function askQueue(
  management: ManagementQuestions,
  vhost: string,
  queue: string,
  signal: AbortSignal,
): Promise<QueueAnswer | undefined> {
  const path = queuePath(vhost, queue, `columns=${COLUMNS}`);
  const found = await management.get(path, schema, signal);
  if (!found) return undefined;
  // A proxy that decodes the address once more asks for another queue.
  if (found.name !== queue) throw new ManagementError("management_failed", "another queue was answered");
  return answerOf(found);
}

function answerOf(found: z.output<typeof schema>): QueueAnswer {
  const { type, state, consumer_details: details, message_stats: stats } = found;
  return {
    isStream: type === "stream",
    state,
    hasStatistics: details !== undefined,
    depth: depthOf(found),
    consumers: found.consumers ?? details?.length ?? 0,
    uncountedConsumers: (details ?? []).filter((consumer) => !consumer.channel_details?.name).length,
    taken: stats && stats.ack + stats.deliver_no_ack + stats.get_no_ack,
  };
}

function depthOf(found: z.output<typeof schema>): Depth | undefined {
  const { messages, messages_ready: ready, messages_unacknowledged: unacknowledged } = found;
  if (messages === undefined || ready === undefined || unacknowledged === undefined) return undefined;
  return { messages, ready, unacknowledged };
}
