import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { addressText } from "./address.ts";
import { redialDelayMs } from "./backoff.ts";
import type { BrokerAddresses, BrokerSettings } from "./broker-config.ts";
import { closeQuietly, connectTimeoutMs, dial, type LookingChannel, unheardMs } from "./broker-connection.ts";
import { brokerProblem } from "./broker-problem.ts";
import { type BrokerSession, type Connected, type OwnSession, watchConnection } from "./broker-session.ts";
import { outageLog } from "./outage.ts";
import { type MessageProperties, publishConfirmed } from "./publish.ts";
import type { Topology } from "./topology.ts";

const STABLE_AFTER_MS = 5_000;
const CLOSE_TIMEOUT_MS = 1_500;

/** A connection to the broker that comes back by itself. */
export interface Broker {
  /** Date.now() when the current session was opened; undefined while there is none. */
  readonly connectedAtMs: number | undefined;
  /** Date.now() at or before the last word of the broker, 0 before the first session; undefined while there is one. */
  readonly awaySinceMs: number | undefined;
  /** The broker's reason for taking no messages for now, as when it is low on memory; undefined while it takes them. */
  readonly blockedBecause: string | undefined;
  /** Where the current session is, or the last one was; the first address before there was one. */
  readonly address: BrokerSettings;
  /**
   * Publishes a persistent message and waits for the broker's confirm.
   * Rejects when there is no session, when the broker takes no messages, when this one is refused or reaches no queue,
   * and when no confirm comes in time. Then it may have arrived nevertheless: sending it again must do no harm.
   */
  publish(body: Buffer, properties: MessageProperties): Promise<void>;
  /**
   * A channel of the caller's own on this connection, for what may be refused: a refusal closes that channel alone.
   * Rejects when there is no session, or when the broker does not listen to it for now. It ends with the session; until
   * then the caller has to close it.
   */
  openChannel(): Promise<LookingChannel>;
  /** Lets the session's release run, closes channel and connection in this order, within 1.5 s. Safe to call twice. */
  close(): Promise<void>;
}

export interface BrokerOptions {
  /** Tried in turn: when one fails the next, and after all of them a while later the first again. */
  readonly settings: BrokerAddresses;
  readonly topology: Topology;
  /** Shown in the broker's list of connections. */
  readonly connectionName: string;
  readonly log: Logger;
  /** Runs after each connect, the first and every later one, on a fresh channel; rejecting ends the session. */
  readonly open: (session: BrokerSession) => Promise<void>;
  /** Runs when the broker takes messages again after an alarm. */
  readonly onUnblocked?: () => void;
  /** Runs before an orderly close of the session, for what is still in hand. */
  readonly release?: () => Promise<void>;
}

interface Current {
  readonly connected: Connected;
  readonly own: OwnSession;
}

/** Starts connecting and returns at once. There is one way to a session, for the first time and for every later one. */
export function connectBroker(options: BrokerOptions): Broker {
  const { settings, topology, log } = options;
  const closing = new AbortController();
  const outage = outageLog("broker", log);
  let current: Current | undefined;
  let [address] = settings;
  let lostAtMs = 0;
  /** Attempts in a row without a session that lasted. */
  let failures = 0;
  let notesLogged = "";

  async function run(): Promise<void> {
    let failingSinceMs = 0;
    const turns = inTurn(settings);
    let next = turns.next().value;
    while (!closing.signal.aborted) {
      let isLeft = false;
      try {
        isLeft = await runSession(next);
        if (!closing.signal.aborted && !isLeft)
          outage.failed(`${placeOf(next)}: the connection was lost, or queue '${topology.queue}' deleted`);
      } catch (error) {
        const problem = await brokerProblem(error, next);
        if (!closing.signal.aborted) outage.failed(problem);
      }
      // Nothing is wrong with the one that was left.
      if (!isLeft) next = turns.next().value;
      if (failures === 0) failingSinceMs = performance.now();
      failures += 1;
      const outageMs = performance.now() - failingSinceMs;
      const delayMs = redialDelayMs({ failures, addresses: settings.length, outageMs });
      await sleep(delayMs, undefined, { signal: closing.signal }).catch(
        () => {}, // closed meanwhile: the loop ends
      );
    }
  }

  /** Resolves when the session has ended, with whether it was left on purpose; rejects when it could not be opened. */
  async function runSession(next: BrokerSettings): Promise<boolean> {
    const timeoutMs = connectTimeoutMs(failures, settings.length);
    const dialled = await dial(next, options.connectionName, timeoutMs, closing.signal);
    let stable: NodeJS.Timeout | undefined;
    const connected = watchConnection(dialled, {
      ended: () => forget(connected),
      blocked(reason) {
        clearTimeout(stable);
        outage.failed(`it takes no messages: ${reason}`);
      },
      unblocked() {
        if (current?.connected !== connected) return;
        failures = 0;
        outage.recovered();
        options.onUnblocked?.();
      },
    });
    try {
      if (closing.signal.aborted) return true;
      const own = await connected.openSession(topology);
      tellNotes(own.notes);
      // Whoever is closing has said the last word; nothing may be sent or taken after it.
      if (closing.signal.aborted) return true;
      current = { connected, own };
      address = next;
      const { session } = own;
      await options.open(session);
      // A session that ends at once, as for want of a permission, is no end of the outage.
      const wasAway = outage.isOn;
      if (!wasAway) tellWhere();
      stable = setTimeout(() => {
        failures = 0;
        if (wasAway) recovered();
      }, STABLE_AFTER_MS);
      if (!session.lost.aborted) await once(session.lost, "abort");
      if (connected.cause !== undefined && !connected.isLeft) throw connected.cause;
      return connected.isLeft;
    } catch (error) {
      // What ended the session tells more than what was cut off by its end.
      throw connected.cause ?? error;
    } finally {
      clearTimeout(stable);
      forget(connected);
      await connected.close();
    }
  }

  /** At once, so that nobody takes what was cut off for something else. By then there may be another session. */
  function forget(connected: Connected): void {
    if (current?.connected !== connected) return;
    lostAtMs = Date.now() - unheardMs(connected.cause);
    current = undefined;
  }

  function tellNotes(list: readonly string[]): void {
    const notes = list.join("; ");
    if (notes !== "" && notes !== notesLogged) log.warn({ notes }, "topology not fully checked");
    notesLogged = notes;
  }

  /** @throws when there is no session, or the broker does not read what is sent in it */
  function listening(): OwnSession {
    if (!current) throw new Error("the broker is not connected");
    const { blockedBecause } = current.connected;
    if (blockedBecause !== undefined) throw new Error(`the broker takes no messages: ${blockedBecause}`);
    return current.own;
  }

  function recovered(): void {
    if (!outage.isOn) return;
    outage.recovered();
    tellWhere();
  }

  function tellWhere(): void {
    log.info({ host: address.host, port: address.amqpPort }, "broker connected");
  }

  const running = run();

  return {
    get connectedAtMs() {
      return current?.own.openedAtMs;
    },
    get awaySinceMs() {
      return current ? undefined : lostAtMs;
    },
    get blockedBecause() {
      return current?.connected.blockedBecause;
    },
    async publish(body, properties) {
      await publishConfirmed(listening().outlet, topology, body, properties);
      recovered();
    },
    get address() {
      return address;
    },
    async openChannel() {
      return await listening().openChannel();
    },
    async close() {
      closing.abort();
      const deadline = sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false });
      const closed = current;
      if (closed) {
        await Promise.race([closeInOrder(closed.own.session, options.release), deadline]);
        await Promise.race([closed.connected.close(), deadline]);
      }
      await Promise.race([running, deadline]);
    },
  };
}

function* inTurn<T>(list: readonly [T, ...T[]]): Generator<T, never> {
  for (;;) yield* list;
}

function placeOf({ host, amqpPort }: BrokerSettings): string {
  return addressText({ host, port: amqpPort });
}

/** The channel first: closing the connection right after an acknowledgement loses it. */
async function closeInOrder(
  { channel }: BrokerSession,
  release: (() => Promise<void>) | undefined,
): Promise<void> {
  await release?.();
  await closeQuietly(channel);
}
