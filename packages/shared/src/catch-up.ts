/** With nothing in hand for so long, although we would have taken more, the queue is empty. */
const QUEUE_EMPTY_AFTER_MS = 1_000;
/** By then whoever waits for us to have caught up waits no longer. */
const CATCHING_UP_ENDS_MS = 30_000;

/** Keeps account of which messages may have waited in the queue for us. All times are of one monotonic clock. */
export interface CatchUp {
  /** A message came: whether it may have waited in the queue. */
  delivered(nowMs: number): boolean;
  /** So many messages in hand were dealt with, `waited` of which had waited. */
  dealtWith(messages: number, waited: number, nowMs: number): void;
  /** So many messages wait in the queue. */
  counted(waiting: number): void;
  /** Whether the queue may hold messages because we took as many as we may: it should be counted again. */
  readonly isUncounted: boolean;
  /** Whether messages that waited are still to be delivered or dealt with; false after 30 s in any case. */
  isCatchingUp(nowMs: number): boolean;
}

/** @param prefetch as many messages as the broker hands over before the first of them is acknowledged */
export function catchUp(prefetch: number, startedMs: number): CatchUp {
  let inHand = 0;
  let waitedInHand = 0;
  /** How many more messages to come may have waited; Infinity: nobody has counted. */
  let waiting = Infinity;
  let emptyHandedSinceMs = startedMs;
  let behindSinceMs = startedMs;

  const isQueueEmpty = (nowMs: number) => inHand === 0 && nowMs - emptyHandedSinceMs > QUEUE_EMPTY_AFTER_MS;

  return {
    delivered(nowMs) {
      if (isQueueEmpty(nowMs)) waiting = 0;
      const hasWaited = waiting > 0;
      if (hasWaited) {
        waiting -= 1;
        waitedInHand += 1;
      }
      inHand += 1;
      if (inHand >= prefetch) {
        if (waiting === 0 && waitedInHand === 0) behindSinceMs = nowMs;
        waiting = Infinity;
      }
      return hasWaited;
    },
    dealtWith(messages, waited, nowMs) {
      inHand -= messages;
      waitedInHand -= waited;
      emptyHandedSinceMs = nowMs;
    },
    counted(count) {
      waiting = count;
    },
    get isUncounted() {
      return waiting === Infinity;
    },
    isCatchingUp(nowMs) {
      const isBehind = (waiting > 0 && !isQueueEmpty(nowMs)) || waitedInHand > 0;
      return isBehind && nowMs - behindSinceMs < CATCHING_UP_ENDS_MS;
    },
  };
}
