/** Says whether it is time to tell of something again: strangers must not be able to fill the log. */
export function seldom(everyMs = 60_000): () => boolean {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = performance.now();
    if (nowMs - toldAtMs < everyMs) return false;
    toldAtMs = nowMs;
    return true;
  };
}
