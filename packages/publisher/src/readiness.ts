/** One heartbeat may be late, as when the broker is slow; two may not. */
const INTERVALS_UNCONFIRMED = 2;
/** With a very short interval the time for a second try counts. */
const LEAST_UNCONFIRMED_MS = 5_000;

export interface Progress {
  readonly isConnected: boolean;
  /** The broker's reason for taking no messages; undefined when it takes them. */
  readonly blockedBecause: string | undefined;
  /** How long ago the broker confirmed a heartbeat; undefined when it never did. */
  readonly confirmedAgoMs: number | undefined;
  readonly intervalMs: number;
}

/** What keeps this publisher from doing its work, in words; empty when nothing does. */
export function unreadyReasons(progress: Progress): string[] {
  const { isConnected, blockedBecause, confirmedAgoMs, intervalMs } = progress;
  const reasons = isConnected ? [] : ["the broker is not connected"];
  if (blockedBecause !== undefined) reasons.push(`the broker takes no messages: ${blockedBecause}`);
  const longestMs = Math.max(INTERVALS_UNCONFIRMED * intervalMs, LEAST_UNCONFIRMED_MS);
  if (confirmedAgoMs === undefined) {
    reasons.push("no heartbeat has been confirmed yet");
  } else if (confirmedAgoMs > longestMs) {
    reasons.push(`no heartbeat has been confirmed for ${Math.floor(confirmedAgoMs / 1000)} s`);
  }
  return reasons;
}
