import type { Channel, ChannelModel } from "amqplib";
import { closeQuietly } from "./broker-connection.ts";

/** What may be created when it is missing: exchange, queue and binding; queue and binding, as upstream; nothing. */
export type Declare = "all" | "queue" | "none";

/** Which end of the way: it needs the exchange to publish to, or the queue to consume from. */
export type End = "publisher" | "subscriber";

/** The one way of a heartbeat through the broker. */
export interface Topology {
  readonly exchange: string;
  readonly queue: string;
  readonly routingKey: string;
  readonly declare: Declare;
  readonly end: End;
}

/** An object is missing and could not be made. The message names it and says what to do. */
export class TopologyError extends Error {
  override readonly name = "TopologyError";
}

/**
 * Makes sure that exchange, queue and binding are there, as far as `declare` and the permissions allow, and returns
 * what could not be checked or made, in words, for the log. Idempotent.
 * Where nothing may be declared, only the object of our own end is needed: the other one may be on another broker,
 * joined by federation or shovel.
 * An existing exchange or queue is taken as it is: declaring it again with other arguments is refused with 406.
 * Each step has a channel of its own, because a refused one closes its channel.
 * @throws {TopologyError} when something is missing and cannot be made
 */
export async function ensureTopology(connection: ChannelModel, topology: Topology): Promise<string[]> {
  const { exchange, queue, routingKey, declare, end } = topology;
  const notes: string[] = [];
  const exchangeStep: Step = {
    what: `exchange '${exchange}'`,
    check: (channel) => channel.checkExchange(exchange),
    create:
      declare === "all" &&
      // Durable and of type topic: what upstream's deployments have.
      ((channel) => channel.assertExchange(exchange, "topic", { durable: true })),
  };
  const queueStep: Step = {
    what: `queue '${queue}'`,
    check: (channel) => channel.checkQueue(queue),
    // No arguments: upstream declares it so, and other ones give 406 to whoever comes second.
    create: declare !== "none" && ((channel) => channel.assertQueue(queue, { durable: true })),
  };
  if (declare !== "none" || end === "publisher") await ensureExists(connection, notes, exchangeStep);
  if (declare !== "none" || end === "subscriber") await ensureExists(connection, notes, queueStep);
  if (declare !== "none") {
    const refused = await attempt(connection, (channel) => channel.bindQueue(queue, exchange, routingKey));
    if (refused === 403) {
      notes.push(`no permission to bind queue '${queue}' to exchange '${exchange}': taken as bound`);
    } else if (refused !== undefined) {
      const why = refused === 404 ? "404: one of them does not exist" : refused;
      throw new TopologyError(`queue '${queue}' cannot be bound to exchange '${exchange}' (${why})`);
    }
  }
  return notes;
}

/** The messages of a queue that wait to be delivered; undefined when the broker does not tell. */
export async function countMessages(connection: ChannelModel, queue: string): Promise<number | undefined> {
  let messages: number | undefined;
  await attempt(connection, async (channel) => (messages = (await channel.checkQueue(queue)).messageCount));
  return messages;
}

interface Step {
  readonly what: string;
  readonly check: (channel: Channel) => Promise<unknown>;
  readonly create: false | ((channel: Channel) => Promise<unknown>);
}

async function ensureExists(
  connection: ChannelModel,
  notes: string[],
  { what, check, create }: Step,
): Promise<void> {
  const checked = await attempt(connection, check);
  if (checked === undefined) return;
  if (checked !== 404) {
    // RabbitMQ 4.2.6 and 4.3.0 want the configure permission even for a passive declare.
    const why = checked === 403 ? "no permission to check" : `the broker does not tell (${checked}) of`;
    notes.push(`${why} ${what}: taken as there`);
    return;
  }
  if (!create) throw new TopologyError(`${what} does not exist and RABBITMQ_DECLARE forbids to create it`);
  const created = await attempt(connection, create);
  if (created === undefined) return;
  // Somebody else may have made it in the meantime, with other arguments.
  if (created === 406 && (await attempt(connection, check)) === undefined) return;
  const why =
    created === 403 ? "the user has no permission to create it" : `creating it was refused (${created})`;
  throw new TopologyError(`${what} does not exist and ${why}`);
}

/** Undefined when it worked, else the broker's reply code. Anything else that goes wrong is thrown. */
async function attempt(
  connection: ChannelModel,
  step: (channel: Channel) => Promise<unknown>,
): Promise<number | undefined> {
  const channel = await connection.createChannel();
  // A refused step is told twice, by the rejection and by this event, which would be uncaught.
  channel.on("error", () => {});
  try {
    await step(channel);
  } catch (error) {
    const code = replyCode(error);
    if (code === undefined) throw error;
    return code;
  }
  await closeQuietly(channel);
  return undefined;
}

function replyCode(error: unknown): number | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "number" ? code : undefined;
}
