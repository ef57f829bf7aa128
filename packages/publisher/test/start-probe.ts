import { pino } from "pino";
import type * as z from "zod";
import type { ProbeKind, Surroundings } from "../src/probe-kind.ts";
import type { Look } from "../src/probe.ts";
import { currentManagement } from "../src/probes/management.ts";

const WITHOUT_BROKER: Surroundings = {
  management: currentManagement(() => {
    throw new Error("there is no broker in this test");
  }),
  brokerConnectedAtMs: () => undefined,
  broker: { host: "no.invalid", amqpPort: 1, user: "", password: "", vhost: "/", tls: undefined },
  now: Date.now,
  log: pino({ level: "silent" }),
};

/** A look with options as they stand in the file. */
export function startProbe<Options extends z.ZodObject>(
  kind: ProbeKind<Options>,
  options: z.input<Options>,
  surroundings: Partial<Surroundings> = {},
): Look {
  return kind.start(kind.options.parse(options), { ...WITHOUT_BROKER, ...surroundings });
}

export const soon = (): AbortSignal => AbortSignal.timeout(5_000);
