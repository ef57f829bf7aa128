import type * as z from "zod";
import type { ProbeKind, Surroundings } from "../src/probe-kind.ts";
import type { Observation } from "../src/probe.ts";

/** Looks once, with options as they stand in the file, by a kind that uses nothing of its surroundings. */
export async function lookWith<Options extends z.ZodObject>(
  kind: ProbeKind<Options>,
  options: z.input<Options>,
  signal: AbortSignal = AbortSignal.timeout(5_000),
): Promise<Observation> {
  // Whatever it used would be missed at once.
  return await kind.start(kind.options.parse(options), {} as Surroundings)(signal);
}
