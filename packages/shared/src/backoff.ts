/** Time to wait before the next attempt: doubling from `firstMs` up to `mostMs`, with a jitter of ±20 %. */
export function backoffMs(
  attempt: number,
  firstMs: number,
  mostMs: number,
  random: () => number = Math.random,
): number {
  const baseMs = Math.min(mostMs / 1.2, firstMs * 2 ** Math.min(attempt, 30));
  return baseMs * (0.8 + 0.4 * random());
}

const FIRST_REDIAL_MS = 100;
/** Who opens its port again is to be found within two seconds, and what is opened there takes its time, too. */
const MAX_REDIAL_MS = 1_000;
/** By then somebody has to do something, and a broker that refuses us writes it down each time. */
const LONG_OUTAGE_MS = 10 * 60_000;
const MAX_REDIAL_IN_LONG_OUTAGE_MS = 5_000;

export interface Redial {
  /** Attempts in a row that failed, the session that was lost included; at least 1. */
  readonly failures: number;
  /** How many addresses there are, tried in turn. */
  readonly addresses: number;
  readonly outageMs: number;
}

/** Time to wait before the next address is tried: none until each has failed, then longer with each round. */
export function redialDelayMs(
  { failures, addresses, outageMs }: Redial,
  random: () => number = Math.random,
): number {
  if (failures % addresses !== 0) return 0;
  const mostMs = outageMs < LONG_OUTAGE_MS ? MAX_REDIAL_MS : MAX_REDIAL_IN_LONG_OUTAGE_MS;
  return backoffMs(failures / addresses - 1, FIRST_REDIAL_MS, mostMs, random);
}
