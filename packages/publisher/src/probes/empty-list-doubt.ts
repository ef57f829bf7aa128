import type { Listed } from "./listed.ts";
import { ManagementError } from "./management.ts";

/** After a restart of the broker the list of consumers can be falsely empty for about this long. */
const DOUBT_MS = 10_000;

interface ExpectingQueue {
  readonly queue: string;
  /** The consumers that should be attached to it. */
  readonly listeners: readonly unknown[];
}

/**
 * Tells whether a list without any consumer is to be doubted: for 10 s after each connect of our own, until consumers
 * have been seen in that time. `connectedAtMs` is undefined while there is no connection.
 */
export function emptyListDoubt(queues: readonly ExpectingQueue[]) {
  const expecting = queues.filter(({ listeners }) => listeners.length > 0);
  let hasSeenSome = false;
  let lastConnectedAtMs: number | undefined;

  return (listed: ReadonlyMap<string, Listed>, connectedAtMs: number | undefined, nowMs: number): boolean => {
    if (connectedAtMs !== lastConnectedAtMs) hasSeenSome = false;
    lastConnectedAtMs = connectedAtMs;
    const counts = expecting.map(({ queue }) => consumersIn(listed.get(queue)));
    hasSeenSome ||= counts.some((count) => count !== undefined && count > 0);
    if (hasSeenSome || !counts.includes(0)) return false;
    return connectedAtMs === undefined || nowMs - connectedAtMs < DOUBT_MS;
  };
}

/** Undefined where nothing was told: no answer is no empty answer. */
function consumersIn(found: Listed | undefined): number | undefined {
  if (found === undefined || found instanceof ManagementError) return undefined;
  return found === "missing" ? 0 : found.length;
}
