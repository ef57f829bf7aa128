import type { Look, Observation } from "../probe.ts";

/** A look whose observations tell how long it took. */
export function timed(look: Look): Look {
  return async (signal): Promise<Observation> => {
    const startedMs = performance.now();
    const seen = await look(signal);
    return { ...seen, latencyMs: Math.round((performance.now() - startedMs) * 10) / 10 };
  };
}
