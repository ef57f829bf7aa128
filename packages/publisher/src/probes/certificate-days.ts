const DAY_MS = 24 * 60 * 60 * 1000;

/** In hundredths and never too many; negative once it has expired. */
export function daysLeft(validUntil: Date, nowMs: number): number {
  return Math.floor(((validUntil.getTime() - nowMs) / DAY_MS) * 100) / 100;
}
