import { type Cost, costOfLoop, effortAt, effortOfAllRuns, effortOfOneRun, effortOfSearch } from "./cost.ts";
import type { Pattern } from "./parse.ts";
import type { Mode, Program, Step } from "./program.ts";
import { type Node, PatternError, type Repeat, UNLIMITED, widthOf } from "./syntax.ts";
import {
  type Character,
  type Setting,
  type Writer,
  add,
  addFork,
  costAt,
  isReferring,
  isStop,
  soleCharacter,
  writerOf,
} from "./writer.ts";

/** The first step that is written is the last one taken. */
const END = 0;
/** What a pattern may grow to when its counted repeats are written out. */
const MOST_NODES = 5_000;
/** How many steps one tag may take: some tenths of a second, in the very worst case. */
const MOST_EFFORT = 2 ** 24;

/**
 * Writes a pattern as a program.
 * @throws {PatternError} if it is too large, or if a tag of 255 characters could take too many steps.
 */
export function compile({ root, referenced }: Pattern): Program {
  const totals = { nodes: 0, effort: 0 };
  const { program, cost } = write({ referenced, totals, ordered: false }, root);
  const first = program.steps[program.entry];
  const onlyAtStart = first?.kind === "position" && first.onlyAtStart;
  const effort = program.referring ? effortOfSearch(cost, onlyAtStart) : effortOfOneRun(program);
  if (MOST_EFFORT < totals.effort + effort)
    throw new PatternError("too many ways to match, a tag could take too long");
  return program;
}

function write(setting: Setting, node: Node): { program: Program; cost: Cost } {
  const referring = isReferring(setting, node);
  const writer = writerOf(setting, referring);
  const entry = emit(writer, node, END);
  return { program: { steps: writer.steps, entry, referring }, cost: costAt(writer, entry) };
}

type Part = { body: Program; effort: (charactersLeft: number) => number };

/** Writes a program that a step runs. One that refers to no group is run once for each place, whoever asks. */
function writePart(setting: Setting, node: Node): Part {
  const { program, cost } = write(setting, node);
  if (program.referring) return { body: program, effort: (left) => effortAt(cost, left) };
  setting.totals.effort += effortOfAllRuns(program);
  return { body: program, effort: () => 0 };
}

/** Adds the steps of a node before the step `next`, and returns the first of them. */
function emit(writer: Writer, node: Node, next: number): number {
  writer.totals.nodes += 1;
  if (MOST_NODES < writer.totals.nodes)
    throw new PatternError("too large once its counted repeats are written out");
  switch (node.kind) {
    case "character": {
      const { matches, literals } = node;
      return add(writer, { kind: "character", matches, literals, next }, { least: 1 });
    }
    case "position":
      return add(writer, { kind: "position", holds: node.holds, onlyAtStart: node.onlyAtStart, next });
    case "sequence":
      return emitSequence(writer, node.items, next);
    case "choice": {
      if (!isInLine(writer, node, next)) return emitLengths(writer, node, next);
      return addFork(writer, {
        kind: "fork",
        targets: node.options.map((option) => emit(writer, option, next)),
      });
    }
    case "repeat":
      return emitRepeat(writer, node, next);
    case "capture": {
      if (!writer.referenced.has(node.group)) return emit(writer, node.body, next);
      const end = add(writer, { kind: "mark", mark: 2 * node.group + 1, next });
      return add(writer, { kind: "mark", mark: 2 * node.group, next: emit(writer, node.body, end) });
    }
    case "atomic":
      return emitPossessive(writer, { body: node.body, min: 1, max: 1 }, next);
    case "look": {
      const { back, negative } = node;
      // Only whether it matches counts, unless groups in it are looked at: then how it first does counts too.
      const part = writePart({ ...writer, ordered: isReferring(writer, node.body) }, node.body);
      const effort = (left: number): number => part.effort(left + back);
      return add(writer, { kind: "look", body: part.body, back, negative, next }, { effort });
    }
    case "backreference":
      return add(writer, { kind: "backreference", group: node.group, lower: node.lower, next });
    case "conditional": {
      const targets = [emit(writer, node.yes, next), emit(writer, node.no, next)];
      return addFork(writer, { kind: "conditional", group: node.group, targets });
    }
    default:
      return node satisfies never;
  }
}

/** Where groups are referred to, what has many ways but does not refer to them is set apart, with its neighbours. */
function emitSequence(writer: Writer, items: readonly Node[], next: number): number {
  const last = items.at(-1);
  if (!last) return next;
  if (isInLine(writer, last, next)) return emitSequence(writer, items.slice(0, -1), emit(writer, last, next));
  const firstFree = items.findLastIndex((item) => isReferring(writer, item)) + 1;
  const begin = items.findIndex((item, at) => firstFree <= at && !isInLine(writer, item, END));
  const apart = emitLengths(writer, { kind: "sequence", items: items.slice(begin) }, next);
  return emitSequence(writer, items.slice(0, begin), apart);
}

/** Whether a node refers to groups, or no other node does, or if it has no other way to match before `next`. */
function isInLine(writer: Writer, node: Node, next: number): boolean {
  if (!writer.costs || isReferring(writer, node)) return true;
  if (node.kind !== "repeat") return !["choice", "sequence", "capture"].includes(node.kind);
  if (node.mode === "possessive") return true;
  const character = soleCharacter(writer, node.body);
  return character !== undefined && (node.min === node.max || isStop(writer, next, character.matches));
}

function emitRepeat(writer: Writer, repeat: Repeat, next: number): number {
  const { body, min, max, mode } = repeat;
  const character = soleCharacter(writer, body);
  if (character) return emitRun(writer, character, repeat, next);
  // Before 3.13 CPython loses where a group began, if in a later round of these it begins but does not end.
  if (mode === "possessive" && 1 < max && isReferring(writer, body))
    throw new PatternError("a possessive repeat around groups referred to is not supported");
  if (mode === "possessive") return emitPossessive(writer, repeat, next);
  // CPython ends such a repeat at the first round that takes nothing. Only in these two cases can that be seen.
  const endsIdle = 1 < max && min < max && widthOf(body).min === 0;
  if (endsIdle && (writer.ordered || writer.costs))
    throw new PatternError(
      "a repeat of what may be empty is not supported here: atomic, or with groups referred to",
    );

  let entry = max === UNLIMITED ? emitLoop(writer, body, mode, next) : next;
  for (let optional = min; optional < max && max !== UNLIMITED; optional += 1)
    entry = addFork(writer, { kind: "fork", targets: inOrder(mode, emit(writer, body, entry), next) });
  for (let required = 0; required < min; required += 1) entry = emit(writer, body, entry);
  return entry;
}

/** Repeats one character. If none of its kind can follow, only the most that there are can lead on. */
function emitRun(writer: Writer, character: Character, { min, max, mode }: Repeat, next: number): number {
  const { matches } = character;
  if (mode === "possessive" || (writer.costs && isStop(writer, next, matches)))
    return add(writer, { kind: "run", matches, min, max, mode: "possessive", next }, { least: min });
  if (max !== UNLIMITED)
    return add(
      writer,
      { kind: "run", matches, min, max, mode, next },
      { least: min, lengths: max - min + 1 },
    );
  const loop = emitLoop(writer, character, mode, next);
  return min === 0
    ? loop
    : add(writer, { kind: "run", matches, min, max: min, mode, next: loop }, { least: min });
}

function emitLoop(writer: Writer, body: Node, mode: Mode, next: number): number {
  const fork: Step = { kind: "fork", targets: [] };
  const head = writer.steps.push(fork) - 1;
  if (writer.costs) {
    const { cost } = write(writer, body);
    if (cost.ways !== 1)
      throw new PatternError("a repeat around groups referred to must match in one way only");
    writer.costs.push(costOfLoop(cost, costAt(writer, next)));
  }
  fork.targets = inOrder(mode, emit(writer, body, head), next);
  return head;
}

/** What to try first where a repeat may go on or end. */
function inOrder(mode: Mode, again: number, next: number): number[] {
  return mode === "lazy" ? [next, again] : [again, next];
}

function emitPossessive(
  writer: Writer,
  { body, min, max }: Omit<Repeat, "kind" | "mode">,
  next: number,
): number {
  const part = writePart({ ...writer, ordered: true }, body);
  const effort = (left: number): number => Math.min(left + 1, max) * part.effort(left);
  return add(writer, { kind: "possessive", body: part.body, min, max, next }, { effort });
}

/** Where other parts refer to groups, but this one does not, it counts only where its many ways end. */
function emitLengths(writer: Writer, node: Node, next: number): number {
  const { min, max } = widthOf(node);
  const { body } = writePart(writer, node);
  return add(writer, { kind: "lengths", body, next }, { least: min, lengths: max - min + 1 });
}
