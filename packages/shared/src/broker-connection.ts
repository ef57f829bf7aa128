import { type Channel, type ChannelModel, connect } from "amqplib";
import type { BrokerAddresses, BrokerSettings } from "./broker-config.ts";
import { brokerProblem } from "./broker-problem.ts";
import { sharedLookup } from "./shared-lookup.ts";
import { tlsOptions } from "./tls.ts";

/** A dead connection is noticed after two to three of these. */
const AMQP_HEARTBEAT_S = 10;
const MOST_MISSED_HEARTBEATS = 3;
const CONNECT_TIMEOUT_MS = 10_000;
/** An address that does not answer keeps us from the others; a slow one is waited for when they have failed as well. */
const FIRST_ROUND_TIMEOUT_MS = 3_000;

interface LookingConnection {
  /** Date.now() when it was connected; undefined while it is not. */
  readonly connectedAtMs: number | undefined;
  /** Where it is connected; the first address while it is not. */
  readonly address: BrokerSettings;
  /** Rejects when there is no connection. */
  openChannel(): Promise<LookingChannel>;
  /** Never rejects. */
  close(): Promise<void>;
}

/**
 * One connection for looking only, to the first address that lets us in: nothing is declared, and it does not come back.
 * Returns at once; connecting goes on beside.
 */
export function connectToLook(addresses: BrokerAddresses, connectionName: string): LookingConnection {
  let connectedAtMs: number | undefined;
  let [address] = addresses;
  const closing = new AbortController();

  async function dialInTurn(): Promise<ChannelModel> {
    const problems: string[] = [];
    for (const settings of addresses) {
      const timeoutMs = connectTimeoutMs(problems.length, addresses.length);
      try {
        const { connection } = await dial(settings, connectionName, timeoutMs, closing.signal);
        connection.on("error", () => {}); // whoever asks is told
        connection.once("close", () => (connectedAtMs = undefined));
        connectedAtMs = Date.now();
        address = settings;
        return connection;
      } catch (error) {
        problems.push(await brokerProblem(error, settings));
      }
    }
    throw new Error(problems.join("; "));
  }

  const dialling = dialInTurn();
  // Without a connection there is nothing to tell but to those who ask.
  dialling.catch(() => {});
  return {
    get connectedAtMs() {
      return connectedAtMs;
    },
    get address() {
      return address;
    },
    openChannel: async () => await openLookingChannel(await dialling),
    async close() {
      closing.abort();
      await dialling.then(closeQuietly, () => {}); // there was none
    },
  };
}

/** For an attempt after so many that failed: 10 s, but for the first at each of several addresses. */
export function connectTimeoutMs(failures: number, addresses: number): number {
  return addresses > 1 && failures < addresses ? FIRST_ROUND_TIMEOUT_MS : CONNECT_TIMEOUT_MS;
}

export interface Dialled {
  readonly connection: ChannelModel;
  /** Ends it without a word to the broker: all that is waited for is rejected. */
  drop(): void;
}

/** Rejects when there is no connection within the time, when the broker refuses it, or when the signal is aborted. */
export async function dial(
  settings: BrokerSettings,
  connectionName: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Dialled> {
  const { host, amqpPort, user, password, vhost, tls } = settings;
  const givingUp = new AbortController();
  const giveUp = () => givingUp.abort();
  // amqplib's own time-out is for a silence: who says a word now and then would never come to an end.
  const timer = setTimeout(giveUp, timeoutMs);
  const socketOptions = {
    // For Node's sockets; amqplib's types leave them out.
    signal: givingUp.signal,
    lookup: sharedLookup,
    noDelay: true,
    clientProperties: { connection_name: connectionName },
  };
  signal.addEventListener("abort", giveUp);
  try {
    signal.throwIfAborted();
    const connection = await connect(
      {
        protocol: tls ? "amqps" : "amqp",
        hostname: host,
        port: amqpPort,
        username: user,
        password,
        // amqplib decodes it, also when it does not come out of a URL.
        vhost: encodeURIComponent(vhost),
        heartbeat: AMQP_HEARTBEAT_S,
      },
      { ...socketOptions, ...(tls && tlsOptions(tls)) },
    );
    return { connection, drop: giveUp };
  } catch (error) {
    throw givingUp.signal.aborted ? new Error("connect ETIMEDOUT", { cause: error }) : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
  }
}

/** For how long the broker may have been silent before a connection ended for this reason. */
export function unheardMs(reason: unknown): number {
  const isSilence = reason instanceof Error && reason.message === "Heartbeat timeout";
  return isSilence ? MOST_MISSED_HEARTBEATS * AMQP_HEARTBEAT_S * 1000 : 0;
}

/** For looking at queues. A refused look closes it. */
export interface LookingChannel extends Pick<Channel, "checkQueue"> {
  /** Never rejects. */
  close(): Promise<void>;
}

export async function openLookingChannel(connection: ChannelModel): Promise<LookingChannel> {
  const channel = await connection.createChannel();
  // A refusal is told twice, by the rejection and by this event, which would be uncaught.
  channel.on("error", () => {});
  return { checkQueue: (queue) => channel.checkQueue(queue), close: () => closeQuietly(channel) };
}

/** Resolves when it is closed, or when somebody else has begun to close it. Never rejects. */
export async function closeQuietly(open: ChannelModel | Channel): Promise<void> {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  // When the connection is lost before the broker's answer, amqplib's own promise never comes.
  open.once("close", resolve);
  await Promise.race([open.close().catch(() => {}), closed]);
  open.off("close", resolve);
}
