import type { State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { Belief } from "./belief.ts";
import type { ComponentName } from "./policy.ts";
import type { Reason } from "./probe.ts";

/** How a target stands: what is believed of it or, while a parent is down, that nothing is known. */
export interface Standing extends Pick<
  Belief,
  "state" | "sinceMs" | "observedAtMs" | "reason" | "detail" | "latencyMs" | "values"
> {
  /** The component because of which nothing is known. */
  readonly because: ComponentName | undefined;
}

/** A component that others depend on. */
export interface Parent extends ComponentName {
  readonly state: State;
  readonly sinceMs: number;
  readonly observedAtMs: number;
  readonly because: ComponentName | undefined;
  /** When the looks began to fail that are not believed yet; undefined when there are none. */
  readonly doubtfulSinceMs: number | undefined;
}

/**
 * A child of a parent that is down is unknown because of the root of it all, so that the root is named once. While a
 * parent is just being looked at again, a child that has begun to fail with it waits for the outcome: it is unknown, not
 * down. When the parent is back, what the child's last look says is from before, so it waits for the next one. `before` is how
 * the child stood: what it is now began no earlier than what it was.
 */
export function standing(
  belief: Belief,
  parents: readonly Parent[],
  before: Standing | undefined,
  nowMs: number,
): Standing {
  const down = parents.find(({ state, because }) => state === "down" || because !== undefined);
  if (down) {
    const because = down.because ?? nameOf(down);
    return unknown(down, because, "parent_down", down.sinceMs, before);
  }
  const doubtful = parents.find(({ doubtfulSinceMs = Infinity }) => doubtfulSinceMs <= belief.sinceMs);
  if (doubtful && belief.state === "down") {
    return unknown(doubtful, nameOf(doubtful), "parent_unconfirmed", belief.sinceMs, before);
  }
  const back = parents.find(({ sinceMs }) => belief.observedAtMs < sinceMs);
  if (back && before?.because && belief.state === "down") {
    return unknown(back, before.because, "parent_unconfirmed", before.sinceMs, before);
  }
  return { ...ofBelief(belief), sinceMs: ownSinceMs(belief, before, nowMs) };
}

/** Of a target without parents. */
export function ofBelief(belief: Belief): Standing {
  const { state, sinceMs, observedAtMs, reason, detail, latencyMs, values } = belief;
  return { state, sinceMs, observedAtMs, reason, detail, latencyMs, values, because: undefined };
}

function unknown(
  { observedAtMs }: Parent,
  because: ComponentName,
  reason: Reason,
  beganMs: number,
  before: Standing | undefined,
): Standing {
  const isAlready = before?.state === "unknown";
  return {
    state: "unknown",
    sinceMs: isAlready ? before.sinceMs : Math.max(beganMs, before?.sinceMs ?? 0),
    observedAtMs,
    reason,
    detail: undefined,
    latencyMs: undefined,
    values: undefined,
    because,
  };
}

/** A state that its own looks have shown all the time began to stand anew when the parent's failure was over. */
function ownSinceMs({ state, sinceMs }: Belief, before: Standing | undefined, nowMs: number): number {
  if (!before) return sinceMs;
  if (before.state === state) return Math.max(before.sinceMs, sinceMs);
  return sinceMs > before.sinceMs ? sinceMs : nowMs;
}

function nameOf({ kind, name }: ComponentName): ComponentName {
  return { kind, name };
}
