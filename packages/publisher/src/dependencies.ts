import type { ComponentName } from "./policy.ts";

/** Identifies a component. No name has a `:`. */
export function componentKey({ kind, name }: ComponentName): string {
  return `${kind}:${name}`;
}

/** What a reference in the file may mean: `service:NAME` or `queue:NAME`, or a name of either kind. */
export function referred(reference: string, known: ReadonlyMap<string, ComponentName>): ComponentName[] {
  const keys = reference.includes(":") ? [reference] : [`service:${reference}`, `queue:${reference}`];
  return keys.flatMap((key) => known.get(key) ?? []);
}

/** Those, by their keys, that depend on themselves, whether at once or through others. */
export function inCircles(parents: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> {
  // A component is in a circle exactly when it can reach itself, and what is taken off from the ends cannot.
  const waiting = new Map(
    [...parents].map(([key, of]) => [key, new Set(of.filter((one) => parents.has(one)))]),
  );
  const children = new Map<string, string[]>();
  for (const [key, of] of waiting) {
    for (const parent of of) {
      const others = children.get(parent);
      if (others) others.push(key);
      else children.set(parent, [key]);
    }
  }
  const ends = [...waiting].filter(([, of]) => of.size === 0).map(([key]) => key);
  for (let key = ends.pop(); key !== undefined; key = ends.pop()) {
    waiting.delete(key);
    for (const child of children.get(key) ?? []) {
      const of = waiting.get(child);
      of?.delete(key);
      if (of?.size === 0) ends.push(child);
    }
  }
  // What is left is in a circle, or depends on one.
  return new Set([...waiting.keys()].filter((key) => reaches(key, key, waiting)));
}

function reaches(from: string, to: string, parents: ReadonlyMap<string, ReadonlySet<string>>): boolean {
  const seen = new Set<string>();
  const ahead = [from];
  for (let key = ahead.pop(); key !== undefined; key = ahead.pop()) {
    for (const parent of parents.get(key) ?? []) {
      if (parent === to) return true;
      if (!seen.has(parent)) ahead.push(parent);
      seen.add(parent);
    }
  }
  return false;
}

/** All keys, parents before their children. Without circles. */
export function parentsFirst(parents: ReadonlyMap<string, readonly string[]>): string[] {
  const ordered = new Set<string>();
  for (const start of parents.keys()) {
    // By hand: a chain of thousands would be too deep for calls.
    const path = [{ key: start, left: [...(parents.get(start) ?? [])] }];
    for (let step = path.at(-1); step; step = path.at(-1)) {
      const next = step.left.pop();
      if (next === undefined) {
        ordered.add(step.key);
        path.pop();
      } else if (!ordered.has(next) && parents.has(next)) {
        path.push({ key: next, left: [...(parents.get(next) ?? [])] });
      }
    }
  }
  return [...ordered];
}
