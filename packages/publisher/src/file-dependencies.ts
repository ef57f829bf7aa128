import { componentKey, inCircles, referred } from "./dependencies.ts";
import type { Path } from "./json-text.ts";
import type { ComponentName } from "./policy.ts";

/** What is wrong with the value at a place in publisher_config.json. */
export interface Problem {
  readonly path: Path;
  readonly message: string;
}

/** Whatever has a name, with its parents. */
export interface Named extends ComponentName {
  readonly path: Path;
  readonly dependsOn: readonly string[];
}

/** References that lead to nothing, to two things, or in a circle. */
export function dependencyProblems(named: readonly Named[]): Problem[] {
  const known = knownNames(named);
  const parents = new Map<string, string[]>();
  const problems: Problem[] = [];
  for (const { path, dependsOn, ...component } of named) {
    const own = parents.get(componentKey(component)) ?? [];
    parents.set(componentKey(component), own);
    for (const [index, reference] of dependsOn.entries()) {
      const at = [...path, "dependsOn", index];
      const [parent, other] = referred(reference, known);
      if (!parent) problems.push({ path: at, message: "is no component's name" });
      else if (other) problems.push({ path: at, message: BOTH_KINDS });
      else own.push(componentKey(parent));
    }
  }
  const circles = inCircles(parents);
  const circular = named.filter((one) => one.dependsOn.length > 0 && circles.has(componentKey(one)));
  return [
    ...problems,
    ...circular.map(({ path }) => ({
      path: [...path, "dependsOn"],
      message: "it depends on itself, at once or through others",
    })),
  ];
}

/** By their keys. */
export function knownNames(named: readonly Named[]): ReadonlyMap<string, ComponentName> {
  return new Map(named.map(({ kind, name }) => [componentKey({ kind, name }), { kind, name }]));
}

const BOTH_KINDS = "is the name of a service and of a queue: write service: or queue: before it";
