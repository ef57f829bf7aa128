import { type BasePolicy, policyOf } from "./policy-options.ts";
import type { Policy } from "./policy.ts";
import { kindOf } from "./parse-file.ts";
import type { Look, Probe, Target } from "./probe.ts";
import type { QueueTarget } from "./probes/queue-target.ts";
import type { ComponentEntry, Targets } from "./targets.ts";

export interface ProbesOfOptions {
  readonly base: BasePolicy;
  /** Begins to look at a component. */
  readonly look: (component: ComponentEntry) => Look;
  /** Begins to look at queues and their consumers, in one look, of all queues that the file names. */
  readonly lookAtConsumers: (queues: readonly QueueTarget[], all: readonly QueueTarget[]) => Probe;
}

/** All probes of a file: one for each component, and one for all queues of rmq_consumers that have the same schedule. */
export function probesOf(targets: Targets, { base, look, lookAtConsumers }: ProbesOfOptions): Probe[] {
  const { defaults } = targets;
  const components = targets.components.map((component): Probe => {
    const { asks } = kindOf(component.probe);
    const policy = policyOf([component.policy], defaults, base, asks, component.dependsOn);
    const lookAt = look(component);
    return {
      targets: [targetOf(component, policy)],
      look: async (signal) => [await lookAt(signal)],
    };
  });
  const queues = queueTargets(targets, base);
  const groups = Map.groupBy(queues, ({ policy }) => scheduleKey(policy));
  return [...components, ...groups.values().map((group) => lookAtConsumers(group, queues))];
}

/** With what is in force for them. */
export function queueTargets({ queues, defaults }: Targets, base: BasePolicy): QueueTarget[] {
  return queues.map(({ queue, policy, dependsOn, listeners }) => ({
    queue,
    policy: policyOf([policy], defaults, base, base.consumersAsk, dependsOn),
    listeners: listeners.map(({ name, tag, matches, min, ...own }) => ({
      name,
      tag,
      matches,
      min,
      policy: policyOf([own.policy, policy], defaults, base, base.consumersAsk, own.dependsOn),
    })),
  }));
}

function targetOf(component: ComponentEntry, policy: Policy): Target {
  const { kind, name, section, probe, options } = component;
  const of = kindOf(probe).subject;
  return { kind, name, section, probe, subject: JSON.stringify(of ? of(options) : options), policy };
}

function scheduleKey({ intervalMs, timeoutMs, splayMs }: Policy): string {
  return `${intervalMs} ${timeoutMs} ${splayMs}`;
}
