import type { Program } from "./program.ts";

/** AMQP's short strings have at most 255 bytes, so a tag has no more characters. */
const LONGEST_TAG = 255;

/** What can still come from a step of a referring program on, in the worst of tags. */
export type Cost = {
  /** By the number of characters left: how many steps are taken until all ways have been tried. */
  effort: readonly number[];
  /** In how many ways the end can be reached, at most. */
  ways: number;
};

/** What a step does: steps taken inside of it, the fewest characters it takes, and how many different numbers. */
export type Doing = { effort?: (charactersLeft: number) => number; least?: number; lengths?: number };

export const costOfEnd: Cost = { effort: byCharactersLeft(() => 1), ways: 1 };

export function costBefore(after: Cost, { effort = () => 0, least = 0, lengths = 1 }: Doing): Cost {
  return {
    effort: byCharactersLeft((left) => {
      let total = 1 + effort(left);
      for (let taken = least; taken < least + lengths && taken <= left; taken += 1)
        total += effortAt(after, left - taken);
      return total;
    }),
    ways: lengths * after.ways,
  };
}

export function costOfFork(targets: readonly Cost[]): Cost {
  return {
    effort: byCharactersLeft((left) => targets.reduce((total, target) => total + effortAt(target, left), 1)),
    ways: targets.reduce((total, { ways }) => total + ways, 0),
  };
}

/** Of a loop whose rounds match in one way only and take at least one character each. */
export function costOfLoop(round: Cost, after: Cost): Cost {
  return costBefore(costOfFork([round, after]), { lengths: LONGEST_TAG + 1 });
}

export function effortAt({ effort }: Cost, charactersLeft: number): number {
  return effort[Math.min(charactersLeft, LONGEST_TAG)] ?? Infinity;
}

/** How many steps a search takes that begins at each place, or only at the first. */
export function effortOfSearch(cost: Cost, onlyAtStart: boolean): number {
  return onlyAtStart ? effortAt(cost, LONGEST_TAG) : cost.effort.reduce((total, effort) => total + effort);
}

/** As many steps a program that refers to no group takes up to its end, wherever it began. */
export function effortOfOneRun({ steps }: Program): number {
  const perPlace = steps.map((step) => ("max" in step ? Math.min(LONGEST_TAG, step.max) + 1 : 1));
  return (LONGEST_TAG + 1) * perPlace.reduce((total, steps) => total + steps);
}

/** And as many if it begins at each place, and has to forget each time what it has found. */
export function effortOfAllRuns(program: Program): number {
  return (effortOfOneRun(program) * (LONGEST_TAG + 1)) / 2;
}

function byCharactersLeft(effort: (charactersLeft: number) => number): readonly number[] {
  return Array.from({ length: LONGEST_TAG + 1 }, (_, left) => effort(left));
}
