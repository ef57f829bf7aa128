import { codePointsOf } from "./tag-pattern/characters.ts";
import { compile } from "./tag-pattern/compile.ts";
import { occursIn, occursWithin } from "./tag-pattern/match.ts";
import { parsePattern } from "./tag-pattern/parse.ts";
import { PatternError } from "./tag-pattern/syntax.ts";

const LONGEST_PATTERN = 1_000;

/** Whether the pattern occurs in the tag, as CPython's re.search answers. It always answers, and never throws. */
export type TagPattern = (tag: string) => boolean;

export type ParsedTagPattern =
  | {
      ok: true;
      matches: TagPattern;
      /** The same of a text that is no tag; undefined where the answer is not found in so many steps. */
      matchesWithin: (text: string, mostSteps: number) => boolean | undefined;
    }
  | { ok: false; reason: string };

/**
 * Reads a Python regular expression as CPython 3.11 does; what CPython rejects is refused in its words. Refused too are
 * patterns that could take long, counted here for tags of up to 255 characters (in longer ones they take longer), and a
 * few that no operator is likely to need: see the messages of `PatternError`. What is accepted gives CPython's answer for
 * every tag, with the characters of its Unicode 14.
 */
export function parseTagPattern(pattern: string): ParsedTagPattern {
  if (LONGEST_PATTERN < pattern.length)
    return { ok: false, reason: `longer than ${LONGEST_PATTERN} characters` };
  try {
    const program = compile(parsePattern(pattern));
    return {
      ok: true,
      matches: (tag) => occursIn(program, codePointsOf(tag)),
      matchesWithin: (text, mostSteps) => occursWithin(program, codePointsOf(text), mostSteps),
    };
  } catch (error) {
    if (error instanceof PatternError) return { ok: false, reason: error.message };
    throw error;
  }
}
