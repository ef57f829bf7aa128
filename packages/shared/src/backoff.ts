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
