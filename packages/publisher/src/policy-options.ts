import * as z from "zod";
import {
  BEFORE_NEXT_MS,
  type ComponentName,
  PAUSE_MS,
  type Policy,
  REDEPLOYMENT_MS,
  STATISTICS_LAG_MS,
} from "./policy.ts";
import { seconds, whole } from "./probes/options.ts";

type ObjectSchema = typeof z.object | typeof z.strictObject;

const MAX_LOOKS = 100;

/** How the looks at it are believed: what a listener may say for itself, because it is looked at with its queue. */
export function beliefShape(object: ObjectSchema) {
  return {
    confirm: object({
      looks: whole(1, MAX_LOOKS)
        .optional()
        .describe("so many looks in a row must fail before it is believed (2)"),
      pause: seconds(0, 3600)
        .optional()
        .describe(
          "seconds between them where the interval is longer (1; 9 for what only the broker's statistics tell, 6 at short intervals)",
        ),
    }).optional(),
    recover: object({
      looks: whole(1, MAX_LOOKS)
        .optional()
        .describe("so many looks in a row must succeed before a failure is over (1)"),
    }).optional(),
    flapping: z
      .union(
        [z.literal(false), flappingSchema(object)],
        "expected false, or an object with changes, looks and calm",
      )
      .optional()
      .describe("when it comes and goes so often that it counts as failing; false: never"),
    severity: z
      .enum(["fail", "warn"], 'expected "fail" or "warn"')
      .optional()
      .describe("warn: it does not turn /health red (fail)"),
  };
}

function flappingSchema(object: ObjectSchema) {
  return object({
    changes: whole(2, MAX_LOOKS)
      .default(10)
      .describe("so many changes between success and failure in the last looks (10)"),
    looks: whole(3, MAX_LOOKS).default(20).describe("that are counted (20)"),
    calm: whole(0, MAX_LOOKS).default(4).describe("it is over when there are no more changes than this (4)"),
  })
    .refine(({ changes, looks }) => changes < looks, "has more changes than its looks can have")
    .refine(({ changes, calm }) => calm < changes, "calm must be less than changes");
}

/** What the file may say of any component, and for all of them in `defaults`. */
export function policyShape(object: ObjectSchema) {
  return {
    interval: seconds(0.1, 86_400).optional().describe("seconds between two looks (PROBE_INTERVAL)"),
    timeout: seconds(0.1, 600).optional().describe("seconds that a look may take (PROBE_TIMEOUT)"),
    splay: seconds(0, 86_400)
      .optional()
      .describe("seconds of the interval over which the looks at all components are spread (all of it)"),
    ...beliefShape(object),
  };
}

/** Names, or `service:NAME` and `queue:NAME` where one is both. */
export function dependsOn() {
  const name = z.string("expected a name").min(1, "is empty");
  return z
    .union([name.transform((one) => [one]), z.array(name)], "expected a name, or a list of names")
    .optional()
    .describe("its parents: while one of them is down nothing is known of this one");
}

/** Times in milliseconds. */
export type PolicyOptions = z.output<z.ZodObject<ReturnType<typeof policyShape>>>;

/** From the environment: PROBE_INTERVAL and PROBE_TIMEOUT. */
export interface BasePolicy {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** No interval may be longer. */
  readonly longestIntervalMs: number;
  /** Who tells of the consumers of rmq_consumers. */
  readonly consumersAsk: Asks;
}

/** `passive`: the broker itself, which tells what is, not what its statistics say. */
export type Asks = "component" | "broker" | "passive";

const DEFAULT_LOOKS = 2;
const DEFAULT_FLAPPING = { changes: 10, looks: 20, calm: 4 };

/**
 * What is in force for one component: its own words, then those that stand above it in the file, then the defaults. The
 * pause for what the broker's statistics tell is longer than they lag, unless the component itself says otherwise.
 */
export function policyOf(
  own: readonly PolicyOptions[],
  defaults: PolicyOptions,
  base: BasePolicy,
  asks: Asks,
  dependsOn: readonly ComponentName[],
): Policy {
  const layers = [...own, defaults];
  const first = <Value>(of: (options: PolicyOptions) => Value | undefined): Value | undefined =>
    layers.map(of).find((value) => value !== undefined);
  const intervalMs = Math.min(first(({ interval }) => interval) ?? base.intervalMs, base.longestIntervalMs);
  const ownPauseMs = own.map(({ confirm }) => confirm?.pause).find((pause) => pause !== undefined);
  const flapping = first(({ flapping }) => flapping) ?? DEFAULT_FLAPPING;
  return {
    intervalMs,
    timeoutMs: first(({ timeout }) => timeout) ?? base.timeoutMs,
    splayMs: Math.min(first(({ splay }) => splay) ?? intervalMs, intervalMs),
    confirm: {
      looks: first(({ confirm }) => confirm?.looks) ?? DEFAULT_LOOKS,
      pauseMs: ownPauseMs ?? defaultPauseMs(defaults.confirm?.pause, asks, intervalMs),
    },
    recover: { looks: first(({ recover }) => recover?.looks) ?? 1 },
    flapping: flapping === false ? undefined : flapping,
    severity: first(({ severity }) => severity) ?? "fail",
    dependsOn,
  };
}

function defaultPauseMs(ofAllMs: number | undefined, asks: Asks, intervalMs: number): number {
  const redeployedMs = Math.min(REDEPLOYMENT_MS, intervalMs - BEFORE_NEXT_MS);
  if (asks === "broker") return Math.max(ofAllMs ?? redeployedMs, STATISTICS_LAG_MS);
  // A worker takes longer to come back than a server's port.
  return ofAllMs ?? (asks === "passive" ? Math.min(intervalMs, STATISTICS_LAG_MS) : PAUSE_MS);
}
