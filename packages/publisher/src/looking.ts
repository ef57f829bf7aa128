import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import type { Observation, Probe } from "./probe.ts";

/** A look that has not ended so long after its time-out does not listen to its signal. */
export const OVERTIME_MS = 2_500;

/** The look's observations, or `unknown` for all when it goes on after its time is over, or rejects against its promise. */
export async function lookInTime(
  probe: Probe,
  timeoutMs: number,
  stopping: AbortSignal,
): Promise<readonly Observation[]> {
  // One controller and two timers that are cleared: signals that time out by themselves pile up until they do.
  const deadline = new AbortController();
  const abort = () => deadline.abort();
  const { promise: overtime, resolve: giveUp } = Promise.withResolvers<undefined>();
  const timers = [setTimeout(abort, timeoutMs), setTimeout(giveUp, timeoutMs + OVERTIME_MS, undefined)];
  stopping.addEventListener("abort", abort);
  try {
    const seen = await Promise.race([probe.look(deadline.signal), overtime]);
    return seen ?? all(probe, { state: "unknown", reason: "timeout" });
  } catch (error) {
    return all(probe, { state: "unknown", reason: "probe_failed", detail: errorText(error) });
  } finally {
    for (const timer of timers) clearTimeout(timer);
    stopping.removeEventListener("abort", abort);
    // What the look left under way, as a second request beside one that failed, must not go on for ever.
    abort();
  }
}

function all({ targets }: Probe, observation: Observation): Observation[] {
  return targets.map(() => observation);
}
