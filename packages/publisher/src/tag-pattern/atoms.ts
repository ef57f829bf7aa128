import {
  type CharacterTest,
  asciiCasing,
  asciiCategories,
  unicodeCasing,
  unicodeCategories,
  unicodeUpper,
} from "./characters.ts";
import { type Node, PatternError, type PositionTest } from "./syntax.ts";

/** The letters of the flags that are on where a node stands, out of a, i, m, s, u and x. */
export type Flags = ReadonlySet<string>;

/** A member of a set: a character, a range or a class. Numbers are code points. */
export type SetMember = { low: number; high: number } | CharacterTest;

const NEWLINE = 0x0a;
const LAST_OF_BASIC_PLANE = 0xffff;

export function literal(codePoint: number, flags: Flags): Node {
  if (!flags.has("i")) return { kind: "character", matches: (it) => it === codePoint, literals: [codePoint] };
  refuseSupplementaryCapital(codePoint);
  const { lower, variants } = casingOf(flags);
  const literals = variants(lower(codePoint));
  return { kind: "character", matches: (it) => literals.includes(it), literals };
}

export function anyCharacter(flags: Flags): Node {
  return { kind: "character", matches: flags.has("s") ? () => true : (it) => it !== NEWLINE };
}

export function characterSet(members: readonly SetMember[], negative: boolean, flags: Flags): Node {
  const tests = members.map((member) => (typeof member === "function" ? member : rangeTest(member, flags)));
  return { kind: "character", matches: (it) => tests.some((test) => test(it)) !== negative };
}

/** What \d, \D, \s, \S, \w and \W stand for; undefined for any other letter. */
export function classOf(letter: string, flags: Flags): CharacterTest | undefined {
  const { digit, space, word } = categoriesOf(flags);
  const test = { d: digit, s: space, w: word }[letter.toLowerCase()];
  return test && letter !== letter.toLowerCase() ? (it) => !test(it) : test;
}

/** The assertion that a letter after a backslash stands for, if it does for one. */
export function positionOf(letter: string, flags: Flags): Node | undefined {
  const holds = { A: isStart, Z: isEnd, b: isBoundary, B: isInside }[letter];
  return holds && { kind: "position", holds, onlyAtStart: letter === "A" };

  function isBoundary(text: readonly number[], position: number): boolean {
    return isWord(text[position - 1]) !== isWord(text[position]);
  }
  /** Until Python 3.14 this does not hold in an empty text. */
  function isInside(text: readonly number[], position: number): boolean {
    return text.length !== 0 && !isBoundary(text, position);
  }
  function isWord(codePoint: number | undefined): boolean {
    return codePoint !== undefined && categoriesOf(flags).word(codePoint);
  }
}

export function caret(flags: Flags): Node {
  if (flags.has("m")) return { kind: "position", holds: isLineStart, onlyAtStart: false };
  return { kind: "position", holds: isStart, onlyAtStart: true };
}

/** Without the MULTILINE flag too this holds before a newline, if it is the last character. */
export function dollar(flags: Flags): Node {
  const isLineEnd: PositionTest = (text, position) =>
    isEnd(text, position) || (text[position] === NEWLINE && (flags.has("m") || isEnd(text, position + 1)));
  return { kind: "position", holds: isLineEnd, onlyAtStart: false };
}

/** How a back-reference compares: by lower case only, unlike a literal. */
export function comparedAs(flags: Flags): (codePoint: number) => number {
  return flags.has("i") ? casingOf(flags).lower : (codePoint) => codePoint;
}

/** In a range that ends above U+FFFF CPython looks at the upper case too, under the ASCII flag even at Unicode's. */
function rangeTest({ low, high }: { low: number; high: number }, flags: Flags): CharacterTest {
  const isWithin: CharacterTest = (it) => low <= it && it <= high;
  if (!flags.has("i")) return isWithin;
  if (low === high) refuseSupplementaryCapital(low);
  const { lower, variants } = casingOf(flags);
  return (it) => {
    const lowered = lower(it);
    return (
      variants(lowered).some(isWithin) || (LAST_OF_BASIC_PLANE < high && isWithin(unicodeUpper(lowered)))
    );
  };
}

/** In a set, and in alternatives that CPython makes one of, such a letter does not match itself. */
function refuseSupplementaryCapital(codePoint: number): void {
  if (codePoint <= LAST_OF_BASIC_PLANE || unicodeCasing.lower(codePoint) === codePoint) return;
  throw new PatternError("capitals above U+FFFF are not supported where case is ignored");
}

function categoriesOf(flags: Flags): typeof unicodeCategories {
  return flags.has("a") ? asciiCategories : unicodeCategories;
}

function casingOf(flags: Flags): typeof unicodeCasing {
  return flags.has("a") ? asciiCasing : unicodeCasing;
}

function isStart(_text: readonly number[], position: number): boolean {
  return position === 0;
}

function isLineStart(text: readonly number[], position: number): boolean {
  return position === 0 || text[position - 1] === NEWLINE;
}

function isEnd(text: readonly number[], position: number): boolean {
  return position === text.length;
}
