import { setTimeout as sleep } from "node:timers/promises";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import type { Cause, Heartbeat } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import type { Logger } from "pino";
import { hasSameStates } from "./compose.ts";
import type { Message, Messages } from "./messages.ts";
import type { Outbox } from "./outbox.ts";

/** What was refused or not confirmed is sent again. */
const RETRY_MS = 2_000;
/** So many kept ones are under way at the same time. */
const BACKFILL_SENDERS = 8;
/** With a broker that does not answer, changes would pile up until their time is over. */
const MAX_UNDER_WAY = 16;

export interface DeliveryOptions {
  readonly messages: Messages;
  readonly outbox: Outbox;
  /** Whether the broker takes messages; while it does not, that is told elsewhere. */
  readonly canSend: () => boolean;
  /** Rejects when it was not confirmed. */
  readonly publish: (message: Message) => Promise<void>;
  /** A heartbeat with the states of its time was confirmed. */
  readonly onConfirmed: () => void;
  readonly log: Logger;
}

export interface Delivery {
  /** A heartbeat is due: it is composed now, and sent now if that is possible. */
  due(cause: Cause): void;
  /** The broker takes messages, for the first time or again. */
  resume(): void;
  /** Says goodbye and sends what is left, as far as the time goes. Whatever fails is told; never rejects. */
  goodbye(withinMs: number): Promise<void>;
}

/** The newest heartbeat, until it is confirmed. */
interface Newest {
  readonly heartbeat: Heartbeat;
  readonly isChange: boolean;
  isFresh: boolean;
  isUnderWay: boolean;
}

/**
 * Brings every heartbeat to the broker, the newest first. One that could not be sent is sent again with the states of then
 * until the next one is due, and from then on kept, to be sent as a back-fill once the newest one has been confirmed.
 * Each keeps its number, so that no number is missing in the end.
 */
export function startDelivery(options: DeliveryOptions): Delivery {
  const { messages, outbox, canSend, publish, onConfirmed, log } = options;
  const outage = outageLog("publishing", log);
  let newest: Newest | undefined;
  let lastDue: Heartbeat | undefined;
  let underWay = 0;
  let resting: NodeJS.Timeout | undefined;
  let backfilling: Promise<void> | undefined;
  let backfilled = 0;
  let isEnding = false;

  function due(cause: Cause): void {
    shelve();
    const heartbeat = messages.next(cause);
    const isChange = !lastDue || !hasSameStates(lastDue, heartbeat);
    newest = { heartbeat, isChange, isFresh: true, isUnderWay: false };
    lastDue = heartbeat;
    void sendNewest();
  }

  /** What is under way is kept when it turns out to have failed. */
  function shelve(): void {
    if (newest && !newest.isUnderWay) keep(newest);
    newest = undefined;
  }

  function keep({ heartbeat, isChange }: Newest): void {
    outbox.add(messages.pack(heartbeat, isChange));
  }

  async function sendNewest(): Promise<void> {
    const mine = newest;
    if (!mine || mine.isUnderWay) return;
    if (!canSend() || underWay >= MAX_UNDER_WAY) {
      mine.isFresh = false;
      return;
    }
    const heartbeat = mine.isFresh ? mine.heartbeat : messages.renewed(mine.heartbeat);
    // A change that was not announced is a heartbeat of its own.
    if (!hasSameStates(heartbeat, mine.heartbeat)) return due(mine.heartbeat.cause);
    mine.isFresh = false;
    mine.isUnderWay = true;
    const isConfirmed = await send(() => messages.message(heartbeat));
    mine.isUnderWay = false;
    if (!isConfirmed) return newest === mine ? undefined : keep(mine);
    if (newest === mine) newest = undefined;
    onConfirmed();
    wake();
  }

  function backfill(): Promise<void> {
    backfilling ??= Promise.all(Array.from({ length: BACKFILL_SENDERS }, sendKept)).then(() => {
      backfilling = undefined;
      if (outbox.size === 0 && backfilled > 0) tellBackfill();
    });
    return backfilling;
  }

  /** One after the other, the oldest first, while all goes well. */
  async function sendKept(): Promise<void> {
    while (canSend() && !resting) {
      const kept = outbox.take();
      if (!kept) return;
      if (await send(() => messages.backfill(kept))) backfilled += 1;
      else outbox.add(kept);
    }
  }

  function tellBackfill(): void {
    const dropped = outbox.takeDropped();
    log[dropped > 0 ? "warn" : "info"]({ heartbeats: backfilled, dropped }, "kept heartbeats sent");
    backfilled = 0;
  }

  /** Whether it was confirmed. What ends with the connection, or with the broker's alarm, is told there. */
  async function send(message: () => Message): Promise<boolean> {
    underWay += 1;
    try {
      await publishLogged(message());
      outage.recovered();
      return true;
    } catch (error) {
      if (canSend()) {
        outage.failed(errorText(error));
        resting ??= setTimeout(wake, RETRY_MS).unref();
      }
      return false;
    } finally {
      underWay -= 1;
    }
  }

  async function publishLogged(message: Message): Promise<void> {
    const { sequence, cause, body } = message;
    log.debug({ sequence, cause, bytes: body.length }, "publishing heartbeat");
    await publish(message);
  }

  function wake(): void {
    clearTimeout(resting);
    resting = undefined;
    if (newest) void sendNewest();
    else void backfill();
  }

  async function goodbye(withinMs: number): Promise<void> {
    isEnding = true;
    shelve();
    if (canSend()) {
      const deadline = sleep(withinMs, "no confirm in time");
      const saying = publishLogged(messages.message(messages.next("goodbye")));
      const cause = await Promise.race([saying.then(() => undefined, errorText), deadline]);
      if (cause !== undefined) log.warn({ cause }, "goodbye was not confirmed");
      else {
        wake();
        await Promise.race([backfill(), deadline]);
      }
    }
    if (outbox.size > 0) log.warn({ heartbeats: outbox.size }, "kept heartbeats were not sent");
  }

  return {
    due,
    resume() {
      // What the subscriber knows may be as old as the last heartbeat that it got. But the goodbye is the last word:
      // after it only the rest follows, also where the connection comes back before we have gone.
      if (newest || isEnding) wake();
      else due("interval");
    },
    goodbye,
  };
}
