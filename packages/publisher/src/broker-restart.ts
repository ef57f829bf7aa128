import type { Observation, Reason } from "./probe.ts";

/** From the loss of the connection on; whatever goes on for longer is no restart. */
const LONGEST_RESTART_MS = 30_000;
/** RabbitMQ's statistics are empty or wrong for about this long after it is back. */
const SETTLING_MS = 10_000;
/** More of them in so long are no restarts but a fault. */
const MAX_RESTARTS = 3;
const COUNTED_OVER_MS = 10 * 60_000;

/** What the broker sees to by itself once it is back. */
const SETTLING: ReadonlySet<Reason> = new Set(["link_missing", "link_not_running", "queue_failed"]);

/** Whether a failure is what a restart looks like; a consumer that is missing is none, once the broker tells who is there. */
export function isOfRestart({ state, reason }: Observation): boolean {
  return state === "unknown" || (reason !== undefined && SETTLING.has(reason));
}

/**
 * Tells whether what the broker says just now is to be passed over, because it is being restarted, which the loss of our
 * own connection shows. Nobody is told anything meanwhile: the heartbeats go by this broker. `connectedAtMs` changes with
 * each connect, and is undefined while there is no connection; `nowMs` is a monotonic clock. To be asked every second or so: a
 * loss, or a connect, counts as of when it is asked.
 */
export function brokerRestart() {
  let lastConnect: number | undefined;
  let awaySinceMs: number | undefined;
  let backSinceMs: number | undefined;
  let restartsMs: readonly number[] = [];

  return (connectedAtMs: number | undefined, nowMs: number): boolean => {
    // The first connect is no restart.
    if (lastConnect === undefined) {
      lastConnect = connectedAtMs;
      return false;
    }
    if (connectedAtMs !== lastConnect && awaySinceMs === undefined) {
      awaySinceMs = nowMs;
      restartsMs = [...restartsMs, nowMs].filter((atMs) => nowMs - atMs < COUNTED_OVER_MS);
    }
    if (connectedAtMs === undefined) {
      backSinceMs = undefined;
    } else if (connectedAtMs !== lastConnect) {
      backSinceMs = nowMs;
      lastConnect = connectedAtMs;
    }
    if (awaySinceMs === undefined) return false;
    if (backSinceMs !== undefined && nowMs - backSinceMs >= SETTLING_MS) {
      [awaySinceMs, backSinceMs] = [undefined, undefined];
      return false;
    }
    return nowMs - awaySinceMs < LONGEST_RESTART_MS && restartsMs.length <= MAX_RESTARTS;
  };
}
