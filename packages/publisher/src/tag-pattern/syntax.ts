import type { CharacterTest } from "./characters.ts";

/** Whether a place in the text is one that `^`, `$`, `\b` and the like ask for. */
export type PositionTest = (text: readonly number[], position: number) => boolean;

export type Repeat = {
  kind: "repeat";
  body: Node;
  min: number;
  max: number;
  mode: "greedy" | "lazy" | "possessive";
};

/** A pattern as a tree. Flags are resolved: they are in the tests. Groups that only group are sequences. */
export type Node =
  | { kind: "character"; matches: CharacterTest; literals?: readonly number[] }
  | { kind: "position"; holds: PositionTest; onlyAtStart: boolean }
  | { kind: "sequence"; items: readonly Node[] }
  | { kind: "choice"; options: readonly Node[] }
  | Repeat
  | { kind: "capture"; group: number; body: Node }
  | { kind: "atomic"; body: Node }
  | { kind: "look"; back: number; negative: boolean; body: Node }
  | { kind: "backreference"; group: number; width: Width; lower: (codePoint: number) => number }
  | { kind: "conditional"; group: number; yes: Node; no: Node };

/** How many characters a node takes, at least and at most. */
export type Width = { min: number; max: number };

/** What CPython means by "any number of times". As there, nothing repeated without limit is still nothing. */
export const UNLIMITED = 2 ** 32 - 1;

/** A pattern that is refused, with the reason as its message. */
export class PatternError extends Error {}

export function widthOf(node: Node): Width {
  switch (node.kind) {
    case "character":
      return { min: 1, max: 1 };
    case "position":
    case "look":
      return { min: 0, max: 0 };
    case "sequence":
      return node.items.map(widthOf).reduce(sum, { min: 0, max: 0 });
    case "choice":
      return node.options.map(widthOf).reduce(either);
    case "conditional":
      return either(widthOf(node.yes), widthOf(node.no));
    case "backreference":
      return node.width;
    case "capture":
    case "atomic":
      return widthOf(node.body);
    case "repeat": {
      const { min, max } = widthOf(node.body);
      return { min: Math.min(min * node.min, UNLIMITED - 1), max: Math.min(max * node.max, UNLIMITED) };
    }
    default:
      return node satisfies never;
  }
}

function sum(left: Width, right: Width): Width {
  return {
    min: Math.min(left.min + right.min, UNLIMITED - 1),
    max: Math.min(left.max + right.max, UNLIMITED),
  };
}

function either(left: Width, right: Width): Width {
  return { min: Math.min(left.min, right.min), max: Math.max(left.max, right.max) };
}
