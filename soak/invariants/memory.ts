/** Below this there are too few samples, one a second, to tell growth from a heap that is still being warmed up. */
const LEAST_SAMPLES = 150;
/** What a heap that is not squeezed may differ by, from one quarter to the next. */
const MARGIN_BYTES = 10 * 1024 * 1024;

export interface Growth {
  readonly secondQuarterBytes: number;
  readonly lastQuarterBytes: number;
  readonly isFlat: boolean;
}

/** The median of the last quarter against that of the second: the first one is the start. Undefined for a short life. */
export function growth(rssBytes: readonly number[]): Growth | undefined {
  if (rssBytes.length < LEAST_SAMPLES) return undefined;
  const quarter = Math.floor(rssBytes.length / 4);
  const secondQuarterBytes = median(rssBytes.slice(quarter, 2 * quarter));
  const lastQuarterBytes = median(rssBytes.slice(-quarter));
  return {
    secondQuarterBytes,
    lastQuarterBytes,
    isFlat: lastQuarterBytes - secondQuarterBytes <= MARGIN_BYTES,
  };
}

/** Of two in the middle the greater one. @throws when there is nothing */
export function median(numbers: readonly number[]): number {
  const middle = numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
  if (middle === undefined) throw new Error("nothing has no median");
  return middle;
}
