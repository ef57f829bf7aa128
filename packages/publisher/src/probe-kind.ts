import type { BrokerSettings } from "@pipeline-heartbeat/shared/broker-config.ts";
import type { Kind } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { Logger } from "pino";
import type * as z from "zod";
import type { Look } from "./probe.ts";
import type { ManagementQuestions } from "./probes/management.ts";

/** What a probe may use beside its own options. */
export interface Surroundings {
  /** The management API of the broker that we are connected to. */
  readonly management: ManagementQuestions;
  /** Date.now() of our own connection to the broker; undefined while there is none. */
  readonly brokerConnectedAtMs: () => number | undefined;
  /** Whose vhost is asked about. */
  readonly broker: BrokerSettings;
  /** Unix milliseconds. */
  readonly now: () => number;
  readonly log: Logger;
}

/**
 * One kind of probe: a file under probes/, and a line in probe-kinds.ts, whose name there is what publisher_config.json
 * calls it. The options stand beside `name` and `probe` in a component of that file.
 */
export interface ProbeKind<Options extends z.ZodObject = z.ZodObject> {
  /** What it shows, in a few words. */
  readonly summary: string;
  /** What its components are, in both formats. */
  readonly kind: Kind;
  /** Whose answer it is: statistics of the broker lag, so a failure is looked at again after a longer pause. */
  readonly asks: "component" | "broker";
  /** Each with a description, which is what editors show. Strict: an unknown key is an error. */
  readonly options: Options;
  /** What it measures, in words with the unit; the names are as in Prometheus, with the unit last. */
  readonly values: Readonly<Record<string, string>>;
  /** The name of a component that has none, where an option is one. */
  defaultName?(options: z.output<Options>): string;
  /** What its answers are about, where not all its options tell: then what was believed outlives a change of the others. */
  subject?(options: z.output<Options>): unknown;
  /** Begins to look: what it remembers from look to look is its own. */
  start(options: z.output<Options>, surroundings: Surroundings): Look;
}

/** Has its options' type inferred. */
export function probeKind<Options extends z.ZodObject>(kind: ProbeKind<Options>): ProbeKind<Options> {
  return kind;
}
