import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const LOOK_EVERY_MS = 10_000;
/** So much more than before, and at least a quarter of it, is worth a pause: 50 ms for a small heap. */
const LEAST_GROWTH_BYTES = 32 * 1024 * 1024;
const LEAST_GROWTH = 0.25;
/** What is collected in the middle of a flood is not all: once more when there was no growth at so many looks. */
const QUIET_LOOKS = 3;

/**
 * Gives back, from now on and within half a minute, what memory a flood has taken. V8 would keep the pages for ever: a
 * process of 95 MB had 190 after a backlog of 20,000 heartbeats, of which it used 16, and 104 after this.
 */
export function spareMemory(everyMs = LOOK_EVERY_MS): void {
  const giveBack = collector();
  let levelBytes = process.memoryUsage.rss();
  /** Looks since there was growth. */
  let quietLooks = QUIET_LOOKS;
  const timer = setInterval(() => {
    const nowBytes = process.memoryUsage.rss();
    const hasGrown = nowBytes - levelBytes > Math.max(LEAST_GROWTH_BYTES, LEAST_GROWTH * levelBytes);
    quietLooks = hasGrown ? 0 : quietLooks + 1;
    if (hasGrown || quietLooks === QUIET_LOOKS) giveBack();
    levelBytes = hasGrown ? process.memoryUsage.rss() : Math.min(levelBytes, nowBytes);
  }, everyMs);
  timer.unref();
}

/** V8's own collection for when memory is running out, which no function of Node's offers. */
function collector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") return () => {};
  return () => void collect({ type: "major", execution: "sync", flavor: "last-resort" });
}
