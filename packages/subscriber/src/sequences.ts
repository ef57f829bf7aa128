/** From and to, both seen. */
type Range = [from: number, to: number];

/** What comes so much out of order is not known exactly any more: what is older counts as not seen. */
const MAX_RANGES = 16;

export function hasSeen(ranges: readonly Range[], number: number): boolean {
  return ranges.some(([from, to]) => from <= number && number <= to);
}

/** Ranges in order, with at least one number between any two. */
export function withSeen(ranges: readonly Range[], number: number): Range[] {
  if (hasSeen(ranges, number)) return [...ranges];
  const below = ranges.filter(([, to]) => to < number - 1);
  const above = ranges.filter(([from]) => from > number + 1);
  const touching = ranges.slice(below.length, ranges.length - above.length);
  const from = Math.min(number, ...touching.map(([from]) => from));
  const to = Math.max(number, ...touching.map(([, to]) => to));
  const joined: Range = [from, to];
  return [...below, joined, ...above].slice(-MAX_RANGES);
}
