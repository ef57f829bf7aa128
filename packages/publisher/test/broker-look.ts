import { pino } from "pino";
import { inject, onTestFinished } from "vitest";
import type * as z from "zod";
import type { RabbitmqAddress } from "../../../test/brokers/addresses.ts";
import type { ProbeKind, Surroundings } from "../src/probe-kind.ts";
import type { Observation } from "../src/probe.ts";
import { management, ManagementError, type ManagementQuestions } from "../src/probes/management.ts";
import { type Credentials, soon } from "./fresh-pipeline.ts";

interface Where {
  readonly vhost?: string;
  readonly credentials?: Credentials;
  readonly broker?: RabbitmqAddress;
  readonly url?: string;
}

/** Looks as a component of the file does at a broker, which is this run's unless it is another one. */
export function lookingAt<Options extends z.ZodObject>(
  kind: ProbeKind<Options>,
  options: z.input<Options>,
  { vhost = "/", credentials, broker = inject("rabbitmq"), url }: Where = {},
): () => Promise<Observation> {
  const { host, managementPort, user, password } = { ...broker, ...credentials };
  const api = management({
    url: url ?? `http://${host}:${managementPort}`,
    user,
    password,
    vhost,
    tls: undefined,
  });
  onTestFinished(() => api.close());
  const around = { ...surroundings(api), broker: settingsOf(vhost), now: Date.now };
  const look = kind.start(kind.options.parse(options), around);
  return () => look(soon());
}

/** A connection of a minute's age. */
export function surroundings(management: ManagementQuestions): Surroundings {
  return {
    management,
    brokerConnectedAtMs: () => 0,
    broker: settingsOf("/"),
    now: () => 60_000,
    log: pino({ level: "silent" }),
  };
}

function settingsOf(vhost: string): Surroundings["broker"] {
  return { host: "", amqpPort: 0, user: "", password: "", vhost, tls: undefined };
}

/** What is not in `parts` fails. A port, not the library: what the real one does is in the integration tests. */
export function scriptedManagement(parts: Partial<ManagementQuestions>): ManagementQuestions {
  const unasked = () => Promise.reject(new ManagementError("management_failed", "not expected to be asked"));
  return {
    get: unasked,
    seesAllConsumers: unasked,
    consumers: unasked,
    queues: unasked,
    consumersOf: unasked,
    ...parts,
  };
}
