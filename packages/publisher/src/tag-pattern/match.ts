import type { Program, Step } from "./program.ts";

/** Where groups have begun and ended, at twice their number and one more. Never changed, only copied. */
type Marks = readonly (number | undefined)[];

/** A place that has been reached. */
type Place = { position: number; marks: Marks };

/** What is known, for one text, of a program that refers to no group. */
type Memory = {
  /** By step and position, the round in which they have met last. */
  met: Uint32Array;
  /** Lasts until the program has matched: what has met in this round has led nowhere. */
  round: number;
  /** By the position where it began: where it can end, the first way first. */
  ends: (readonly number[] | undefined)[];
};

type Matcher = { text: readonly number[]; memories: Map<Program, Memory>; stepsLeft: number };

type StepOf<Kind> = Extract<Step, { kind: Kind }>;

/** To begin at a place costs as much time as some steps do. */
const STEPS_OF_START = 8;
/** So many places are forgotten in the time of one step, and they take up 32 bytes. */
const PLACES_OF_STEP = 8;

/** The steps are used up: whether the program matches is not known. */
class StepsUsedUp extends Error {}

/**
 * Whether a program matches anywhere in a text. It takes no step twice at one position, so it soon comes to its end;
 * only a program that refers to groups tries all its ways, which `compile` has counted.
 */
export function occursIn(program: Program, text: readonly number[]): boolean {
  return occursAnywhere({ text, memories: new Map(), stepsLeft: Infinity }, program);
}

/** The same for a text of any length; undefined where more than so many steps would be needed to know. */
export function occursWithin(
  program: Program,
  text: readonly number[],
  mostSteps: number,
): boolean | undefined {
  try {
    return occursAnywhere({ text, memories: new Map(), stepsLeft: mostSteps }, program);
  } catch (error) {
    if (error instanceof StepsUsedUp) return undefined;
    throw error;
  }
}

function occursAnywhere(matcher: Matcher, program: Program): boolean {
  const { text } = matcher;
  const first = program.steps[program.entry];
  for (let position = 0; position <= text.length; position += 1) {
    // Most places are no beginning, which is seen sooner without a search.
    const character = text[position];
    if (first?.kind === "character" && !(character !== undefined && first.matches(character)))
      spend(matcher, 1);
    else if (firstEnd(matcher, program, { position, marks: [] })) return true;
  }
  return false;
}

function spend(matcher: Matcher, steps: number): void {
  matcher.stepsLeft -= steps;
  if (matcher.stepsLeft < 0) throw new StepsUsedUp();
}

function firstEnd(matcher: Matcher, program: Program, start: Place): Place | undefined {
  if (program.referring) return ends(matcher, program, start).next().value ?? undefined;
  const { ends: known } = memoryOf(matcher, program);
  known[start.position] ??= Array.from(ends(matcher, program, start).take(1), ({ position }) => position);
  const position = known[start.position]?.[0];
  return position === undefined ? undefined : { position, marks: start.marks };
}

/** For programs that refer to no group. */
function allEnds(matcher: Matcher, program: Program, start: Place): readonly number[] {
  const { ends: known } = memoryOf(matcher, program);
  return (known[start.position] ??= Array.from(ends(matcher, program, start), ({ position }) => position));
}

function memoryOf(matcher: Matcher, program: Program): Memory {
  const { text, memories } = matcher;
  let memory = memories.get(program);
  if (!memory) {
    const places = program.steps.length * (text.length + 1);
    spend(matcher, places / PLACES_OF_STEP);
    memory = { met: new Uint32Array(places), round: 1, ends: [] };
    memories.set(program, memory);
  }
  return memory;
}

/** Where a program ends that begins at a place, the first way first. */
function* ends(matcher: Matcher, program: Program, start: Place): Generator<Place, void> {
  const memory = program.referring ? undefined : memoryOf(matcher, program);
  const round = memory?.round ?? 0;
  const paths: Paths = { steps: [], positions: [], marks: [] };
  spend(matcher, STEPS_OF_START);
  add(paths, program.entry, start.position, start.marks);
  for (;;) {
    const at = paths.steps.pop();
    const position = paths.positions.pop();
    const marks = paths.marks.pop();
    if (at === undefined || position === undefined || marks === undefined) return;
    spend(matcher, 1);
    if (memory) {
      const meeting = at * (matcher.text.length + 1) + position;
      if (memory.met[meeting] === round) continue;
      memory.met[meeting] = round;
    }
    const step = program.steps[at];
    if (step?.kind === "end") {
      if (memory) memory.round += 1;
      yield { position, marks };
    } else if (step) follow(matcher, step, { position, marks }, paths);
  }
}

/** Ways yet to be tried, the next one last. There may be millions of them to come and go, hence no objects. */
type Paths = { steps: number[]; positions: number[]; marks: Marks[] };

function add(paths: Paths, step: number, position: number, marks: Marks): void {
  paths.steps.push(step);
  paths.positions.push(position);
  paths.marks.push(marks);
}

/** Takes a step and adds the ways it leads to. */
function follow(matcher: Matcher, step: Exclude<Step, { kind: "end" }>, place: Place, paths: Paths): void {
  const { text } = matcher;
  const { position, marks } = place;
  switch (step.kind) {
    case "character": {
      const character = text[position];
      if (character !== undefined && step.matches(character)) add(paths, step.next, position + 1, marks);
      return;
    }
    case "position":
      if (step.holds(text, position)) add(paths, step.next, position, marks);
      return;
    case "fork":
      for (let index = step.targets.length - 1; 0 <= index; index -= 1)
        add(paths, step.targets[index] ?? 0, position, marks);
      return;
    case "run":
      return run(matcher, step, place, paths);
    case "lengths": {
      const ends = allEnds(matcher, step.body, place);
      spend(matcher, ends.length);
      for (const end of ends.toReversed()) add(paths, step.next, end, marks);
      return;
    }
    case "look": {
      const start = position - step.back;
      const end = start < 0 ? undefined : firstEnd(matcher, step.body, { position: start, marks });
      if (step.negative === (end === undefined)) add(paths, step.next, position, end?.marks ?? marks);
      return;
    }
    case "possessive": {
      const end = possessiveEnd(matcher, step, place);
      if (end) add(paths, step.next, end.position, end.marks);
      return;
    }
    case "mark":
      spend(matcher, marks.length);
      add(paths, step.next, position, withMark(marks, step.mark, position));
      return;
    case "backreference": {
      const end = backreferenceEnd(matcher, step, place);
      if (end !== undefined) add(paths, step.next, end, marks);
      return;
    }
    case "conditional": {
      const [yes, no] = step.targets;
      const at = marks[2 * step.group + 1] === undefined ? no : yes;
      if (at !== undefined) add(paths, at, position, marks);
    }
  }
}

function run(matcher: Matcher, step: StepOf<"run">, { position, marks }: Place, paths: Paths): void {
  const { text } = matcher;
  let most = 0;
  for (; most < step.max; most += 1) {
    const character = text[position + most];
    if (character === undefined || !step.matches(character)) break;
  }
  spend(matcher, most);
  const { min, mode, next } = step;
  if (mode === "greedy")
    for (let taken = min; taken <= most; taken += 1) add(paths, next, position + taken, marks);
  else if (mode === "lazy")
    for (let taken = most; min <= taken; taken -= 1) add(paths, next, position + taken, marks);
  else if (min <= most) add(paths, next, position + most, marks);
}

/** A round that takes nothing is the last one, as in CPython; required ones after it would take nothing either. */
function possessiveEnd(matcher: Matcher, step: StepOf<"possessive">, start: Place): Place | undefined {
  let { position, marks } = start;
  for (let rounds = 0; rounds < step.max; rounds += 1) {
    spend(matcher, 1);
    const end = firstEnd(matcher, step.body, { position, marks });
    if (!end) return rounds < step.min ? undefined : { position, marks };
    const isIdle = end.position === position;
    ({ position, marks } = end);
    if (isIdle) break;
  }
  return { position, marks };
}

function withMark(marks: Marks, mark: number, position: number): Marks {
  const changed = marks.slice();
  changed[mark] = position;
  return changed;
}

function backreferenceEnd(matcher: Matcher, step: StepOf<"backreference">, place: Place): number | undefined {
  const { text } = matcher;
  const begin = place.marks[2 * step.group];
  const end = place.marks[2 * step.group + 1];
  if (begin === undefined || end === undefined) return undefined;
  const ahead = place.position - begin;
  if (text.length < end + ahead) return undefined;
  spend(matcher, end - begin);
  for (let position = begin; position < end; position += 1) {
    const [expected = 0, actual = 0] = [text[position], text[position + ahead]];
    if (expected !== actual && step.lower(expected) !== step.lower(actual)) return undefined;
  }
  return end + ahead;
}
