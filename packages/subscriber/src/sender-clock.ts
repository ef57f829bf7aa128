import * as z from "zod";

const HOUR_MS = 3_600_000;
/** Two clocks drift apart by up to this. */
const DRIFT = 100e-6;
/** Shorter times between arrivals prove nothing: a backlog may be taken in with a pause in its midst. */
const LEAST_GAP_MS = 2_000;
/** A message is live when the time since an earlier one's arrival is at least this part of the time since its sending… */
const LEAST_PACE = 0.5;
/** …and at most so much more, with a second for clocks that tell whole seconds. */
const MOST_PACE = 1.25;
const WHOLE_SECOND_MS = 1_000;
/** So many live messages in a row that all seem late by the same time are not late: the clock was changed. */
const RELEARN_AFTER = 2;
/** The same, where the wall clock finds them late, too: then it was both clocks, and no link that is slow. */
const RELEARN_BOTH_AFTER = 5;
/** By so much of the time that passes may two clocks differ more and more; a link that fills up is worse. */
const STEADY = 0.005;
/** What seems to come from the future has a clock that was set, or of which nothing is known. */
const AHEAD_MS = 1_000;

/**
 * What is known of a sender's clocks, as differences to the receiver's: what the receiver's clock showed at the arrival
 * less what the sender's showed at the sending. All in milliseconds.
 */
export const senderClockSchema = z.object({
  /** The message that later ones are compared with. */
  anchor: z.object({ receivedAtMs: z.number(), sendingMs: z.number() }),
  /** The least difference that live messages had; absent until there was one. */
  skew: z.object({ leastMs: z.number(), learnedAtMs: z.number() }).optional(),
  /** Live messages in a row that the skew makes late. */
  late: z.object({ count: z.number(), differenceMs: z.number(), sinceMs: z.number() }).optional(),
  /** The difference of the wall clocks, from the last live message that was not late. Outlives the boot. */
  wallMs: z.number().optional(),
});

type Skew = NonNullable<SenderClock["skew"]>;

export type SenderClock = z.output<typeof senderClockSchema>;

/** A message of one boot, as far as the clocks are concerned. */
export interface Arrival {
  /** The receiver's clock. */
  readonly receivedAtMs: number;
  /** The sender's monotonic clock; in format 1 its wall clock. */
  readonly sendingMs: number;
  /** The sender's wall clock. */
  readonly sentAtMs: number;
  readonly isMonotonic: boolean;
  /** Whether it may have waited in the queue for us. */
  readonly hasWaited: boolean;
  readonly intervalMs: number;
}

/** A boot of which nothing is known yet; only the wall clock may still be that of the one before. */
export function newBootClock({ receivedAtMs, sendingMs }: Arrival, before?: SenderClock): SenderClock {
  return { anchor: { receivedAtMs, sendingMs }, wallMs: before?.wallMs };
}

export interface Learned {
  readonly clock: SenderClock;
  /** Whether it came at the pace at which it was sent. */
  readonly isLive: boolean;
  /** Whether the message certainly came in time, by what was known before it; false also where that cannot be told. */
  readonly isInTime: boolean;
}

/**
 * Learns from a message. The skew is the least difference of the live messages: those that came at the pace at which
 * they were sent, so that they cannot have come out of a queue in a burst. It lasts for the boot, with some drift
 * allowed; that of a wall clock for an hour. Live messages that all seem late by the same time show that the clock was
 * changed: a monotonic clock stops when its machine is suspended. That is believed sooner when the wall clock does not
 * find them late.
 */
export function learn(clock: SenderClock, arrival: Arrival): Learned {
  const pace = paceOf(clock, arrival);
  if (pace === "unclear") return { clock, isLive: false, isInTime: false };
  const { receivedAtMs, sendingMs, sentAtMs } = arrival;
  const heard = { ...clock, anchor: { receivedAtMs, sendingMs } };
  if (pace === "other") return { clock: { ...heard, late: undefined }, isLive: false, isInTime: false };

  const differenceMs = receivedAtMs - sendingMs;
  const inTime: SenderClock = { ...heard, late: undefined, wallMs: receivedAtMs - sentAtMs };
  const learned = { ...inTime, skew: { leastMs: differenceMs, learnedAtMs: receivedAtMs } };
  if (!clock.skew) return { clock: learned, isLive: true, isInTime: false };
  const isOld = !arrival.isMonotonic && receivedAtMs - clock.skew.learnedAtMs > HOUR_MS;
  const lateByMs = differenceMs - allowedMs(clock.skew, receivedAtMs);
  if (isOld || lateByMs <= 0) return { clock: learned, isLive: true, isInTime: true };
  if (lateByMs < tolerableMs(arrival)) return { clock: inTime, isLive: true, isInTime: true };
  const late = lateAgain(clock, arrival, differenceMs);
  const isBothClocks = arrival.isMonotonic && !isInTimeByWallClock(clock, arrival);
  const isRelearned = late.count >= (isBothClocks ? RELEARN_BOTH_AFTER : RELEARN_AFTER);
  return { clock: isRelearned ? learned : { ...heard, late }, isLive: true, isInTime: isRelearned };
}

/**
 * When a message was sent, by the receiver's clock and never later than its receipt. Without a skew a time in the past
 * is believed; where the wall clock is known to have been ahead, the earlier one. Undefined where that cannot be told: by
 * all that is known it comes from the future, so the clock was set since, and it may have waited.
 */
export function sentAtByOurClock(clock: SenderClock, arrival: Arrival): number | undefined {
  const { receivedAtMs, sendingMs, sentAtMs, hasWaited } = arrival;
  if (clock.skew) {
    const lateByMs = receivedAtMs - sendingMs - allowedMs(clock.skew, receivedAtMs);
    // A live message would have been learned from.
    return lateByMs < -AHEAD_MS ? undefined : receivedAtMs - Math.max(0, lateByMs);
  }
  const correctedMs = sentAtMs + (clock.wallMs ?? 0);
  if (hasWaited && correctedMs > receivedAtMs + AHEAD_MS) return undefined;
  return Math.min(receivedAtMs, sentAtMs, correctedMs);
}

/** The least difference, as far as the clocks may have drifted apart since. */
function allowedMs({ leastMs, learnedAtMs }: Skew, receivedAtMs: number): number {
  return leastMs + Math.max(0, receivedAtMs - learnedAtMs) * DRIFT;
}

/** How it came, compared with the anchor; `unclear`: too soon after it to tell. */
function paceOf({ anchor }: SenderClock, arrival: Arrival): "live" | "unclear" | "other" {
  const arrivalGapMs = arrival.receivedAtMs - anchor.receivedAtMs;
  const sendingGapMs = arrival.sendingMs - anchor.sendingMs;
  if (arrival.hasWaited || sendingGapMs < 0 || arrivalGapMs < LEAST_PACE * sendingGapMs) return "other";
  if (arrivalGapMs < Math.max(LEAST_GAP_MS, arrival.intervalMs / 2)) return "unclear";
  return arrivalGapMs <= MOST_PACE * sendingGapMs + WHOLE_SECOND_MS ? "live" : "other";
}

/** One more that is late by the same time, or the first that is late by another. */
function lateAgain({ late }: SenderClock, arrival: Arrival, differenceMs: number) {
  const { receivedAtMs, isMonotonic } = arrival;
  const steadyMs = late ? WHOLE_SECOND_MS + STEADY * (receivedAtMs - late.sinceMs) : 0;
  const sameMs = isMonotonic ? steadyMs : tolerableMs(arrival);
  return late && Math.abs(differenceMs - late.differenceMs) <= sameMs
    ? { ...late, count: late.count + 1 }
    : { count: 1, differenceMs, sinceMs: receivedAtMs };
}

function isInTimeByWallClock(
  { wallMs }: SenderClock,
  { receivedAtMs, sentAtMs, ...arrival }: Arrival,
): boolean {
  return wallMs !== undefined && receivedAtMs - sentAtMs - wallMs < tolerableMs(arrival);
}

/** Late by less makes no difference to anything, and is what whole seconds and busy machines do. */
function tolerableMs({ intervalMs }: Pick<Arrival, "intervalMs">): number {
  return Math.max(WHOLE_SECOND_MS, intervalMs / 4);
}
