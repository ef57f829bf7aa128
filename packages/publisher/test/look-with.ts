import { pino } from "pino";
import type * as z from "zod";
import type { ProbeKind, Surroundings } from "../src/probe-kind.ts";
import type { Observation } from "../src/probe.ts";
import { currentManagement } from "../src/probes/management.ts";

const NO_BROKER: Surroundings = {
  management: currentManagement(() => {
    throw new Error("a component of its own asks no broker");
  }),
  brokerConnectedAtMs: () => undefined,
  broker: { host: "", amqpPort: 0, user: "", password: "", vhost: "", tls: undefined },
  now: Date.now,
  log: pino({ level: "silent" }),
};

/** Looks once at what is no part of the broker, with options as they stand in the file. */
export async function lookWith<Options extends z.ZodObject>(
  kind: ProbeKind<Options>,
  options: z.input<Options>,
  signal: AbortSignal = AbortSignal.timeout(5_000),
): Promise<Observation> {
  return await kind.start(kind.options.parse(options), NO_BROKER)(signal);
}
