export type Truth = "up" | "down";

/** What was true when. Times are unix milliseconds. */
export interface Timeline {
  /** Nothing changes when it was so already. */
  became(truth: Truth, atMs: number): void;
  now(): Truth;
  at(atMs: number): Truth;
  changesBetween(fromMs: number, toMs: number): number[];
  /** Each span of one truth that is over, within this time. */
  spansBetween(fromMs: number, toMs: number): Span[];
}

export interface Span {
  readonly truth: Truth;
  readonly fromMs: number;
  readonly toMs: number;
}

/** What is long past is forgotten: a soak may run for days. */
const MOST_CHANGES = 1_000;

export function timeline(first: Truth, atMs: number): Timeline {
  const changes: { truth: Truth; sinceMs: number }[] = [{ truth: first, sinceMs: atMs }];
  return {
    became(truth, atMs) {
      if (changes.at(-1)?.truth !== truth) changes.push({ truth, sinceMs: atMs });
      if (changes.length > MOST_CHANGES) changes.shift();
    },
    now: () => changes.at(-1)?.truth ?? first,
    at: (atMs) => changes.findLast(({ sinceMs }) => sinceMs <= atMs)?.truth ?? first,
    spansBetween: (fromMs, toMs) =>
      changes.flatMap(({ truth, sinceMs }, index) => {
        const next = changes[index + 1];
        const isWithin = next && fromMs <= sinceMs && next.sinceMs <= toMs;
        return isWithin ? [{ truth, fromMs: sinceMs, toMs: next.sinceMs }] : [];
      }),
    changesBetween: (fromMs, toMs) =>
      changes.map(({ sinceMs }) => sinceMs).filter((sinceMs) => fromMs < sinceMs && sinceMs <= toMs),
  };
}

/**
 * Whether what these make up together, of which the worst counts, may have been seen as `truth` from `fromMs` to `toMs`, both
 * included: each is looked at by itself, and sooner seen to be up than believed to be down, so that they need not have
 * been up at one moment.
 */
export function mayHaveBeen(
  truth: Truth,
  timelines: readonly Timeline[],
  fromMs: number,
  toMs: number,
): boolean {
  const wasEver = (timeline: Timeline) =>
    [fromMs, ...timeline.changesBetween(fromMs, toMs)].some((atMs) => timeline.at(atMs) === truth);
  return truth === "up" ? timelines.every(wasEver) : timelines.some(wasEver);
}
