import { once } from "node:events";
import type { ConfirmChannel } from "amqplib";
import { closeQuietly, type Dialled, type LookingChannel, openLookingChannel } from "./broker-connection.ts";
import type { Outlet } from "./publish.ts";
import { countMessages, ensureTopology, type Topology } from "./topology.ts";

/** A broker that says that it is there, and does not answer for so long, is as good as away. */
const LIMITS = { answerWithinMs: 30_000, closeWithinMs: 5_000 };

/** One connection with its channel, while it lasts. `lost` is aborted when it ends. */
export interface BrokerSession {
  readonly channel: ConfirmChannel;
  readonly lost: AbortSignal;
  /** Ends the session, and opens the next one, without an outage of the broker's: it is not its fault. */
  leave(): void;
  /** How many messages of a queue wait to be delivered; undefined when the broker does not tell. */
  countMessages(queue: string): Promise<number | undefined>;
  /** For what the broker is asked: without an answer within 30 s the connection is given up, and this rejects. */
  answered<T>(answer: Promise<T>): Promise<T>;
}

/** The session on a connection, for whoever keeps it. */
export interface OwnSession {
  readonly openedAtMs: number;
  readonly session: BrokerSession;
  /** What could not be found out or done about exchange and queue: a sentence each. */
  readonly notes: readonly string[];
  /** Where messages go out at this time. */
  readonly outlet: Outlet;
  openChannel(): Promise<LookingChannel>;
}

/** A connection from its first moment to its last. */
export interface Connected {
  /** The broker's reason for taking no messages for now; undefined while it takes them. */
  readonly blockedBecause: string | undefined;
  /** What ended it, where something did. */
  readonly cause: unknown;
  /** Whether it was ended by its session's `leave`. */
  readonly isLeft: boolean;
  /** Rejects when exchange or queue cannot be used, or the broker does not answer. */
  openSession(topology: Topology): Promise<OwnSession>;
  /** Resolves when it is closed, within 5 s. Never rejects. */
  close(): Promise<void>;
}

/** What happens to a connection, told as soon as it is known. */
export interface ConnectionEvents {
  /** It is at its end; told once or more often. */
  ended(): void;
  /** The broker takes no messages, for a reason of its own such as "low on memory"; it does not even read them. */
  blocked(reason: string): void;
  unblocked(): void;
}

export function watchConnection(
  { connection, drop }: Dialled,
  events: ConnectionEvents,
  { answerWithinMs, closeWithinMs } = LIMITS,
): Connected {
  const ended = new AbortController();
  /** Aborted, with the broker's words, when it takes no messages; replaced when it takes them again. */
  let blocked = new AbortController();
  let cause: unknown;
  let isLeft = false;
  let isGivenUp = false;

  // amqplib emits 'error' and then 'close'; without a listener the first would end the process.
  connection.on("error", (error) => (cause = isGivenUp ? cause : error));
  connection.once("close", () => {
    events.ended();
    ended.abort();
  });
  connection.on("blocked", (reason: unknown) => {
    blocked.abort(String(reason));
    events.blocked(String(reason));
  });
  connection.on("unblocked", () => {
    blocked = new AbortController();
    events.unblocked();
  });

  function giveUp(): void {
    isGivenUp = true;
    drop();
  }

  async function answered<T>(answer: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      cause = new Error(`no answer within ${answerWithinMs / 1000} s, although it is connected`);
      giveUp();
    }, answerWithinMs);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  async function close(): Promise<void> {
    if (ended.signal.aborted) return;
    const timer = setTimeout(() => {
      giveUp();
      // Whoever closed it before we listened has told nobody.
      ended.abort();
    }, closeWithinMs);
    void closeQuietly(connection);
    await once(ended.signal, "abort");
    clearTimeout(timer);
  }

  async function openConfirmChannel(): Promise<ConfirmChannel> {
    const channel = await connection.createConfirmChannel();
    // A listener for each message under way; how many those are is the publisher's to bound.
    channel.setMaxListeners(0);
    channel.on("error", (error) => (cause = error));
    // A channel that dies alone (a deleted queue, a cancelled consumer) takes its connection along: one way back.
    channel.once("close", () => {
      events.ended();
      void close();
    });
    return channel;
  }

  return {
    get blockedBecause() {
      return blocked.signal.aborted ? String(blocked.signal.reason) : undefined;
    },
    get cause() {
      return cause;
    },
    get isLeft() {
      return isLeft;
    },
    async openSession(topology) {
      const notes = await answered(ensureTopology(connection, topology));
      const channel = await answered(openConfirmChannel());
      const lost = ended.signal;
      return {
        openedAtMs: Date.now(),
        notes,
        session: {
          channel,
          lost,
          leave() {
            // What is lost already cannot be left.
            isLeft = !lost.aborted;
            void close();
          },
          countMessages: (queue) => answered(countMessages(connection, queue)),
          answered,
        },
        get outlet() {
          return { channel, lost, blocked: blocked.signal };
        },
        openChannel: () => openLookingChannel(connection),
      };
    },
    close,
  };
}
