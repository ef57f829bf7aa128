import { isWorse, type State } from "@pipeline-heartbeat/shared/heartbeat.ts";
import { type Belief, isInDoubt } from "./belief.ts";
import { componentKey, parentsFirst } from "./dependencies.ts";
import type { Target } from "./probe.ts";
import { ofBelief, type Parent, type Standing, standing } from "./standing.ts";

interface Entry {
  readonly target: Target;
  readonly mind: { readonly belief: Belief; standing: Standing | undefined };
}

export interface Standings<E extends Entry> {
  readonly entries: readonly E[];
  /** Lets these stand as is believed of them now, and all that have parents; tells whether a state has changed. */
  stand(changed: readonly E[], nowMs: number): boolean;
}

/** How targets stand, each after those that it depends on. */
export function standings<E extends Entry>(entries: readonly E[]): Standings<E> {
  const groups = Map.groupBy(entries, ({ target }) => componentKey(target));
  const parentKeys = new Map(
    [...groups].map(([key, group]) => [
      key,
      [...new Set(group.flatMap(({ target }) => target.policy.dependsOn.map(componentKey)))],
    ]),
  );
  const children = parentsFirst(parentKeys).filter((key) => parentKeys.get(key)?.length);

  function stand(changed: readonly E[], nowMs: number): boolean {
    let hasChanged = false;
    const set = (group: readonly E[], parents: readonly Parent[]) => {
      for (const { mind } of group) {
        const before = mind.standing;
        mind.standing = standing(mind.belief, parents, before, nowMs);
        hasChanged ||= mind.standing.state !== before?.state;
      }
    };
    set(
      changed.filter(({ target }) => !parentKeys.get(componentKey(target))?.length),
      [],
    );
    for (const key of children) {
      const parents = (parentKeys.get(key) ?? []).flatMap((parent) => parentOf(groups.get(parent) ?? []));
      set(groups.get(key) ?? [], parents);
    }
    return hasChanged;
  }

  return { entries, stand };
}

/** A component that is watched in several places is as bad as the worst of them; empty when there is no such one. */
function parentOf(group: readonly Entry[]): Parent[] {
  const worst = group.reduce<Entry | undefined>(
    (worst, entry) => (worst && !isWorse(stateOf(entry), stateOf(worst)) ? worst : entry),
    undefined,
  );
  if (!worst) return [];
  const { state, sinceMs, observedAtMs, because } = worst.mind.standing ?? ofBelief(worst.mind.belief);
  const { kind, name } = worst.target;
  const doubts = group
    .filter(({ target, mind }) => isInDoubt(mind.belief, target.policy))
    .map(({ mind }) => mind.belief.failingSinceMs);
  const doubtfulSinceMs = doubts.length > 0 ? Math.min(...doubts) : undefined;
  return [{ kind, name, state, sinceMs, observedAtMs, because, doubtfulSinceMs }];
}

function stateOf({ mind }: Entry): State {
  return mind.standing?.state ?? mind.belief.state;
}
