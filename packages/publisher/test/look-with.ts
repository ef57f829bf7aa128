import type * as z from "zod";
import type { ProbeKind } from "../src/probe-kind.ts";
import type { Observation } from "../src/probe.ts";
import { soon, startProbe } from "./start-probe.ts";

/** Looks once at what is no part of the broker, with options as they stand in the file. */
export async function lookWith<Options extends z.ZodObject>(
  kind: ProbeKind<Options>,
  options: z.input<Options>,
  signal: AbortSignal = soon(),
): Promise<Observation> {
  return await startProbe(kind, options)(signal);
}
