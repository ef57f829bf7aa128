import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Channel, ChannelModel, ConfirmChannel } from "amqplib";
import type { Logger } from "pino";
import { backoffMs } from "./backoff.ts";
import type { BrokerSettings } from "./broker-config.ts";
import { closeQuietly, dial, quietChannel, unheardMs } from "./broker-connection.ts";
import { brokerProblem } from "./broker-problem.ts";
import { outageLog } from "./outage.ts";
import { type MessageProperties, publishConfirmed } from "./publish.ts";
import { countMessages, ensureTopology, type Topology } from "./topology.ts";

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2_000;
const STABLE_AFTER_MS = 5_000;
const CLOSE_TIMEOUT_MS = 1_500;

/** One connection with its channel, while it lasts. `lost` is aborted when it ends. */
export interface BrokerSession {
  readonly channel: ConfirmChannel;
  readonly lost: AbortSignal;
  /** Ends the session, and opens the next one, without an outage of the broker's: it is not its fault. */
  leave(): void;
  /** How many messages of a queue wait to be delivered; undefined when the broker does not tell. */
  countMessages(queue: string): Promise<number | undefined>;
}

/** A connection to the broker that comes back by itself. */
export interface Broker {
  /** Date.now() when the current session was opened; undefined while there is none. */
  readonly connectedAtMs: number | undefined;
  /** Date.now() at or before the last word of the broker, 0 before the first session; undefined while there is one. */
  readonly awaySinceMs: number | undefined;
  /**
   * Publishes a persistent message and waits for the broker's confirm.
   * Rejects when there is no session, when the message is refused or reaches no queue, and when no confirm comes in
   * time. Then it may have arrived nevertheless: sending it again must do no harm.
   */
  publish(body: Buffer, properties: MessageProperties): Promise<void>;
  /**
   * A channel of the caller's own on this connection, for what may be refused: a refusal closes that channel alone.
   * Rejects when there is no session. It ends with the session; until then the caller has to close it.
   */
  openChannel(): Promise<Channel>;
  /** Lets the session's release run, closes channel and connection in this order, within 1.5 s. Safe to call twice. */
  close(): Promise<void>;
}

export interface BrokerOptions {
  readonly settings: BrokerSettings;
  readonly topology: Topology;
  /** Shown in the broker's list of connections. */
  readonly connectionName: string;
  readonly log: Logger;
  /** Runs after each connect, the first and every later one, on a fresh channel; rejecting ends the session. */
  readonly open: (session: BrokerSession) => Promise<void>;
  /** Runs before an orderly close of the session, for what is still in hand. */
  readonly release?: () => Promise<void>;
}

/** Starts connecting and returns at once. There is one way to a session, for the first time and for every later one. */
export function connectBroker(options: BrokerOptions): Broker {
  const { settings, topology, log } = options;
  const closing = new AbortController();
  const outage = outageLog("broker", log);
  let current: { session: BrokerSession; connection: ChannelModel; openedAtMs: number } | undefined;
  let lostAtMs = 0;
  let notesLogged = "";

  async function run(): Promise<void> {
    for (let attempt = 0; !closing.signal.aborted; attempt += 1) {
      const startedMs = performance.now();
      try {
        const isLeft = await runSession();
        if (!closing.signal.aborted && !isLeft)
          outage.failed(`the connection was lost, or queue '${topology.queue}' deleted`);
      } catch (error) {
        const problem = await brokerProblem(error, settings);
        if (!closing.signal.aborted) outage.failed(problem);
      }
      // Only what lasted counts as a success; what fails at once again and again is tried less and less often.
      if (performance.now() - startedMs > STABLE_AFTER_MS) attempt = 0;
      await sleep(backoffMs(attempt, FIRST_RETRY_MS, MAX_RETRY_MS), undefined, {
        signal: closing.signal,
      }).catch(
        () => {}, // closed meanwhile: the loop ends
      );
    }
  }

  /** Resolves when the session has ended, with whether it was left on purpose; rejects when it could not be opened. */
  async function runSession(): Promise<boolean> {
    const connection = await dial(settings, options.connectionName);
    const ended = new AbortController();
    let cause: unknown;
    let isLeft = false;
    let stable: NodeJS.Timeout | undefined;
    // amqplib emits 'error' and then 'close'; without a listener the first would end the process.
    connection.on("error", (error) => (cause = error));
    connection.once("close", () => ended.abort());
    try {
      if (closing.signal.aborted) return true;
      const notes = (await ensureTopology(connection, topology)).join("; ");
      if (notes !== "" && notes !== notesLogged) log.warn({ notes }, "topology not fully checked");
      notesLogged = notes;
      const channel = await connection.createConfirmChannel();
      channel.on("error", (error) => (cause = error));
      // A channel that dies alone (a deleted queue, a cancelled consumer) takes its connection along: one way back.
      channel.once("close", () => void closeQuietly(connection));
      const session: BrokerSession = {
        channel,
        lost: ended.signal,
        leave: () => {
          // What is lost already cannot be left.
          isLeft = !ended.signal.aborted;
          void closeQuietly(connection);
        },
        countMessages: (queue) => countMessages(connection, queue),
      };
      current = { session, connection, openedAtMs: Date.now() };
      await options.open(session);
      // A session that ends at once, as for want of a permission, is no end of the outage.
      if (outage.isOn) stable = setTimeout(() => outage.recovered(), STABLE_AFTER_MS);
      else log.info({ host: settings.host, port: settings.amqpPort }, "broker connected");
      if (!ended.signal.aborted) await once(ended.signal, "abort");
      if (cause !== undefined && !isLeft) throw cause;
      return isLeft;
    } catch (error) {
      // What ended the session tells more than what was cut off by its end.
      throw cause ?? error;
    } finally {
      clearTimeout(stable);
      if (current) lostAtMs = Date.now() - unheardMs(cause);
      current = undefined;
      await closeQuietly(connection);
      ended.abort();
    }
  }

  const running = run();

  return {
    get connectedAtMs() {
      return current?.openedAtMs;
    },
    get awaySinceMs() {
      return current ? undefined : lostAtMs;
    },
    async publish(body, properties) {
      if (!current) throw new Error("the broker is not connected");
      await publishConfirmed(current.session, topology, body, properties);
      outage.recovered();
    },
    async openChannel() {
      if (!current) throw new Error("the broker is not connected");
      return await quietChannel(current.connection);
    },
    async close() {
      closing.abort();
      const deadline = sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false });
      const session = current;
      if (session) {
        await Promise.race([closeInOrder(session.session.channel, options.release), deadline]);
        await Promise.race([closeQuietly(session.connection), deadline]);
      }
      await Promise.race([running, deadline]);
    },
  };
}

/** The channel first: closing the connection right after an acknowledgement loses it. */
async function closeInOrder(
  channel: ConfirmChannel,
  release: (() => Promise<void>) | undefined,
): Promise<void> {
  await release?.();
  await channel.close().catch(() => {}); // already closed
}
