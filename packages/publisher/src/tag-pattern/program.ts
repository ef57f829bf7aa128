import type { CharacterTest } from "./characters.ts";
import type { PositionTest } from "./syntax.ts";

/**
 * A pattern as steps, each of which names the step after it. In a program that is not `referring` nothing looks at
 * what a group has matched, so what follows from a step depends on the place in the text alone.
 */
export type Program = { steps: readonly Step[]; entry: number; referring: boolean };

export type Step =
  | { kind: "end" }
  | { kind: "character"; matches: CharacterTest; literals: readonly number[] | undefined; next: number }
  | { kind: "position"; holds: PositionTest; onlyAtStart: boolean; next: number }
  /** Tries several steps, in this order. */
  | { kind: "fork"; targets: number[] }
  /** Takes characters of one kind: the most first, the fewest first, or the most only. */
  | { kind: "run"; matches: CharacterTest; min: number; max: number; mode: Mode; next: number }
  | { kind: "look"; body: Program; back: number; negative: boolean; next: number }
  /** Takes what the body takes first, again and again, and never tries anything else. */
  | { kind: "possessive"; body: Program; min: number; max: number; next: number }
  /** Takes what the body can, once for each different length. */
  | { kind: "lengths"; body: Program; next: number }
  | { kind: "mark"; mark: number; next: number }
  | { kind: "backreference"; group: number; lower: (codePoint: number) => number; next: number }
  /** Goes on with the first step if the group has matched, and with the second if it has not. */
  | { kind: "conditional"; group: number; targets: number[] };

export type Mode = "greedy" | "lazy" | "possessive";
