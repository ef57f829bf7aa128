import { componentKey } from "./dependencies.ts";
import { kindOf } from "./parse-file.ts";
import type { ComponentName, Policy } from "./policy.ts";
import { type BasePolicy, policyOf } from "./policy-options.ts";
import { queueTargets } from "./probes-of.ts";
import type { Targets } from "./targets.ts";

/** A component with all that is in force for it, defaults included. A worker on two queues is two of them. */
export interface InForce extends ComponentName {
  readonly probe: string;
  /** The kind's own, parsed. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly policy: Policy;
}

/** Those of `components` first, in their order, then each queue with its listeners. */
export function inForce(targets: Targets, base: BasePolicy): InForce[] {
  const components = targets.components.map(({ kind, name, probe, options, policy, dependsOn }) => ({
    kind,
    name,
    probe,
    options,
    policy: policyOf([policy], targets.defaults, base, kindOf(probe).asks, dependsOn),
  }));
  const queues = queueTargets(targets, base).flatMap(({ queue, policy, listeners }): InForce[] => [
    { kind: "queue", name: queue, probe: "consumers", options: {}, policy },
    ...listeners.map(({ name, tag, min, policy }): InForce => ({
      kind: "service",
      name,
      probe: "consumers",
      options: { queue, tag, min },
      policy,
    })),
  ]);
  return [...components, ...queues];
}

/** How many components, by their names, two files have in different ways. */
export interface Difference {
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
}

export function difference(before: readonly InForce[], after: readonly InForce[]): Difference {
  const [old, young] = [textByName(before), textByName(after)];
  const kept = [...young].filter(([key]) => old.has(key));
  return {
    added: young.size - kept.length,
    removed: old.size - kept.length,
    changed: kept.filter(([key, text]) => old.get(key) !== text).length,
  };
}

function textByName(components: readonly InForce[]): ReadonlyMap<string, string> {
  const groups = Map.groupBy(components, componentKey);
  return new Map([...groups].map(([key, group]) => [key, JSON.stringify(group)]));
}
