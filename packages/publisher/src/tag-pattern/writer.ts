import { type Cost, type Doing, costBefore, costOfEnd, costOfFork } from "./cost.ts";
import type { CharacterTest } from "./characters.ts";
import type { Step } from "./program.ts";
import type { Node } from "./syntax.ts";

/** What all programs of a pattern share. */
export type Setting = {
  /** The groups that something in the pattern looks at. */
  referenced: ReadonlySet<number>;
  /** Nodes written so far, and steps that the parts of the pattern may take. */
  totals: { nodes: number; effort: number };
  /** Whether it matters which way is found first, not only whether there is one. */
  ordered: boolean;
};

/** A program being written, from its end to its start. */
export type Writer = Setting & {
  steps: Step[];
  /** Of each step. Undefined in a program that refers to no group, which costs the same in any text. */
  costs: Cost[] | undefined;
};

type Following = Extract<Step, { next: number }>;
type Branching = Extract<Step, { targets: number[] }>;

export function writerOf(setting: Setting, referring: boolean): Writer {
  return { ...setting, steps: [{ kind: "end" }], costs: referring ? [costOfEnd] : undefined };
}

/** Adds a step, and returns where it is. */
export function add(writer: Writer, step: Following, doing: Doing = {}): number {
  writer.costs?.push(costBefore(costAt(writer, step.next), doing));
  return writer.steps.push(step) - 1;
}

export function addFork(writer: Writer, step: Branching): number {
  writer.costs?.push(costOfFork(step.targets.map((target) => costAt(writer, target))));
  return writer.steps.push(step) - 1;
}

export function costAt({ costs }: Writer, at: number): Cost {
  return costs?.[at] ?? costOfEnd;
}

/** Whether the step is a literal that is none of these characters, marks before it aside. */
export function isStop({ steps }: Writer, at: number, matches: CharacterTest): boolean {
  let step = steps[at];
  while (step?.kind === "mark") step = steps[step.next];
  return step?.kind === "character" && step.literals?.some(matches) === false;
}

export type Character = Extract<Node, { kind: "character" }>;

/** The one character that a node stands for, if it does, groups that nobody looks at aside. */
export function soleCharacter(setting: Setting, node: Node): Character | undefined {
  if (node.kind === "character") return node;
  if (node.kind === "capture" && !setting.referenced.has(node.group))
    return soleCharacter(setting, node.body);
  if (node.kind !== "sequence" || node.items.length !== 1) return undefined;
  const [only] = node.items;
  return only && soleCharacter(setting, only);
}

/** Whether a node looks at what a group has matched, or is a group that is looked at, or contains either. */
export function isReferring(setting: Setting, node: Node): boolean {
  switch (node.kind) {
    case "backreference":
    case "conditional":
      return true;
    case "character":
    case "position":
      return false;
    case "sequence":
      return node.items.some((item) => isReferring(setting, item));
    case "choice":
      return node.options.some((option) => isReferring(setting, option));
    case "capture":
      return setting.referenced.has(node.group) || isReferring(setting, node.body);
    case "repeat":
    case "atomic":
    case "look":
      return isReferring(setting, node.body);
    default:
      return node satisfies never;
  }
}
