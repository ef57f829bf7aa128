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
/** A backlog cannot come from the future: what says so has a clock that tells nothing yet. */
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
  late: z.object({ count: z.number(), differenceMs: z.number() }).optional(),
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
  /** Whether the message certainly came in time, by what was known before it; false also where that cannot be told. */
  readonly isInTime: boolean;
}

/**
 * Learns from a message. The skew is the least difference of the live messages: those that came at the pace at which
 * they were sent, so that they cannot have come out of a queue in a burst. It lasts for the boot, with some drift
 * allowed; that of a wall clock for an hour. Live messages that all seem late by the same time show that the clock was
 * changed: of a monotonic clock (which stops when its machine is suspended) that is believed when the wall clock does
 * not find them late.
 */
export function learn(clock: SenderClock, arrival: Arrival): Learned {
  const pace = paceOf(clock, arrival);
  if (pace === "unclear") return { clock, isInTime: false };
  const { receivedAtMs, sendingMs, sentAtMs } = arrival;
  const heard = { ...clock, anchor: { receivedAtMs, sendingMs } };
  if (pace === "other") return { clock: { ...heard, late: undefined }, isInTime: false };

  const differenceMs = receivedAtMs - sendingMs;
  const inTime: SenderClock = { ...heard, late: undefined, wallMs: receivedAtMs - sentAtMs };
  const learned = { ...inTime, skew: { leastMs: differenceMs, learnedAtMs: receivedAtMs } };
  if (!clock.skew) return { clock: learned, isInTime: false };
  const isOld = !arrival.isMonotonic && receivedAtMs - clock.skew.learnedAtMs > HOUR_MS;
  if (isOld || differenceMs <= allowedMs(clock.skew, receivedAtMs)) return { clock: learned, isInTime: true };
  if ((delayMs(clock, arrival) ?? 0) < tolerableMs(arrival)) return { clock: inTime, isInTime: true };
  const late = lateAgain(clock, arrival, differenceMs);
  if (late.count >= RELEARN_AFTER) return { clock: learned, isInTime: true };
  return { clock: { ...heard, late }, isInTime: false };
}

/** How late a message is, never negative; undefined while the skew is not known. */
function delayMs({ skew }: SenderClock, { receivedAtMs, sendingMs }: Arrival): number | undefined {
  return skew && Math.max(0, receivedAtMs - sendingMs - allowedMs(skew, receivedAtMs));
}

/**
 * When a message was sent, by the receiver's clock and never later than its receipt. Without a skew a time in the past
 * is believed; where the wall clock is known to have been ahead, the earlier one. Undefined for a message that may have
 * waited and whose clock shows a time to come: how long it waited cannot be told.
 */
export function sentAtByOurClock(clock: SenderClock, arrival: Arrival): number | undefined {
  const { receivedAtMs, sentAtMs, hasWaited } = arrival;
  const lateByMs = delayMs(clock, arrival);
  if (lateByMs !== undefined) return receivedAtMs - lateByMs;
  if (hasWaited && sentAtMs > receivedAtMs + AHEAD_MS && clock.wallMs === undefined) return undefined;
  return Math.min(receivedAtMs, sentAtMs, sentAtMs + (clock.wallMs ?? 0));
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

function lateAgain(clock: SenderClock, arrival: Arrival, differenceMs: number) {
  const { late, wallMs } = clock;
  const wallLateByMs = arrival.receivedAtMs - arrival.sentAtMs - (wallMs ?? 0);
  const isBelievable = arrival.isMonotonic
    ? wallMs !== undefined && wallLateByMs < tolerableMs(arrival)
    : late === undefined || Math.abs(differenceMs - late.differenceMs) < tolerableMs(arrival);
  return { count: isBelievable ? (late?.count ?? 0) + 1 : Number(!arrival.isMonotonic), differenceMs };
}

/** Late by less makes no difference to anything, and is what whole seconds and busy machines do. */
function tolerableMs({ intervalMs }: Arrival): number {
  return Math.max(WHOLE_SECOND_MS, intervalMs / 4);
}
