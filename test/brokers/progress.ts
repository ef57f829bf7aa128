import { setTimeout as sleep } from "node:timers/promises";

export type Say = (line: string) => void;

const FIRST_LINE_AFTER_MS = 1_000;
const NEXT_LINE_AFTER_MS = 2_000;

/** Passes on what `work` gives, and says every now and then for how long it has been going on. */
export async function withProgress<T>(what: string, say: Say, work: () => Promise<T>): Promise<T> {
  const working = new AbortController();
  void tell(what, say, working.signal);
  try {
    return await work();
  } finally {
    working.abort();
  }
}

async function tell(what: string, say: Say, signal: AbortSignal): Promise<void> {
  try {
    let elapsedMs = FIRST_LINE_AFTER_MS;
    await sleep(FIRST_LINE_AFTER_MS, undefined, { signal });
    for (;;) {
      say(`${what} … ${elapsedMs / 1_000} s`);
      await sleep(NEXT_LINE_AFTER_MS, undefined, { signal });
      elapsedMs += NEXT_LINE_AFTER_MS;
    }
  } catch {
    // The work is done.
  }
}
