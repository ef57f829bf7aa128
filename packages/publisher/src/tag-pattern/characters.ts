/**
 * What CPython's `re` takes the characters of a `str` for, as tests of a code point. JavaScript agrees in all but the
 * characters that Unicode has gained since: CPython 3.11, the reference, knows Unicode 14, and Node 24 Unicode 17.
 */

export type CharacterTest = (codePoint: number) => boolean;

/** The classes behind \d, \s, \w and \b. */
export type Categories = { digit: CharacterTest; space: CharacterTest; word: CharacterTest };

/** How the case of letters is ignored. */
export type Casing = {
  lower: (codePoint: number) => number;
  /** All code points that match whatever has this lower case. */
  variants: (lowered: number) => readonly number[];
};

/** Letters and digits of Unicode 15 to 17, in hexadecimal. CPython 3.11 takes them for unassigned. */
const NEWER_RANGES = `
  088F 0C5C 0CDC 1C89 1C8A A7CB-A7CF A7D2 A7D4 A7DA-A7DC A7F1 105C0-105F3 10940-10959 10D40-10D65
  10D6F-10D85 10EC2-10EC7 1123F 11240 11380-11389 1138B 1138E 11390-113B5 113B7 113D1 113D3 116D0-116E3
  11BC0-11BE0 11BF0-11BF9 11DB0-11DDB 11DE0-11DE9 11F02 11F04-11F10 11F12-11F33 11F50-11F59 1342F
  13441-13446 13460-143FA 16100-1611D 16130-16139 16D40-16D6C 16D70-16D79 16EA0-16EB8 16EBB-16ED3
  16FF2-16FF6 187F8-187FF 18CFF 18D09-18D1E 18D80-18DF2 1B132 1B155 1CCF0-1CCF9 1D2C0-1D2D3 1DF25-1DF2A
  1E030-1E06D 1E4D0-1E4EB 1E4F0-1E4F9 1E5D0-1E5ED 1E5F0-1E5FA 1E6C0-1E6DE 1E6E0-1E6E2 1E6E4 1E6E5
  1E6E7-1E6ED 1E6F0-1E6F4 1E6FE 1E6FF 2B739-2B73F 2CEA2-2CEAD 2EBF0-2EE5D 31350-33479
`;
const newer = new RegExp(`[${NEWER_RANGES.replaceAll(/[0-9A-F]+/g, "\\u{$&}").replaceAll(/\s/g, "")}]`, "u");

/** Different lower-case letters that match each other, for they share an upper case (`re/_casefix.py`). */
const SAME_UPPER_CASE = [
  ..."i\u0131 s\u017F \u00B5\u03BC \u0345\u03B9\u1FBE \u0390\u1FD3 \u03B0\u1FE3 \u03B2\u03D0 \u03B5\u03F5".split(
    " ",
  ),
  ..."\u03B8\u03D1 \u03BA\u03F0 \u03C0\u03D6 \u03C1\u03F1 \u03C2\u03C3 \u03C6\u03D5 \u0432\u1C80 \u0434\u1C81".split(
    " ",
  ),
  ..."\u043E\u1C82 \u0441\u1C83 \u0442\u1C84\u1C85 \u044A\u1C86 \u0463\u1C87 \u1C88\uA64B \u1E61\u1E9B".split(
    " ",
  ),
  "\uFB05\uFB06",
];

/** No script above this one has case. */
const LAST_CASED = 0x1e943;
let capitals: Map<number, number[]> | undefined;

/** The capitals of a small letter; some have several, as K and the Kelvin sign. */
function capitalsOf(small: number): readonly number[] {
  // Made at the first need: it costs 15 MB of memory, and few patterns ignore the case.
  capitals ??= allCapitals();
  return capitals.get(small) ?? [];
}

function allCapitals(): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (let codePoint = 0; codePoint <= LAST_CASED; codePoint += 1) {
    const small = unicodeLower(codePoint);
    if (small !== codePoint) found.set(small, [...(found.get(small) ?? []), codePoint]);
  }
  return found;
}

/** `str.isdecimal`, `str.isspace`, and `str.isalnum` or an underscore. */
export const unicodeCategories: Categories = {
  digit: (codePoint) => isKnown(codePoint, /\p{Nd}/u),
  space: (codePoint) => isAmong(codePoint, "\t\n\v\f\r\x1C\x1D\x1E\x1F\x85") || isKnown(codePoint, /\p{Z}/u),
  word: (codePoint) =>
    codePoint < 0x80 ? asciiCategories.word(codePoint) : isKnown(codePoint, /[\p{L}\p{N}]/u),
};

export const asciiCategories: Categories = {
  digit: (codePoint) => isBetween(codePoint, 0x30, 0x39),
  space: (codePoint) => isAmong(codePoint, "\t\n\v\f\r "),
  word: (codePoint) =>
    isBetween(codePoint, 0x61, 0x7a) ||
    isBetween(codePoint, 0x41, 0x5a) ||
    isBetween(codePoint, 0x30, 0x39) ||
    codePoint === 0x5f,
};

export const unicodeCasing: Casing = {
  lower: unicodeLower,
  variants: (lowered) => {
    const letter = String.fromCodePoint(lowered);
    const letters = SAME_UPPER_CASE.find((same) => same.includes(letter)) ?? letter;
    return codePointsOf(letters).flatMap((small) => [small, ...capitalsOf(small)]);
  },
};

export const asciiCasing: Casing = {
  lower: asciiLower,
  variants: (lowered) => (isBetween(lowered, 0x61, 0x7a) ? [lowered, lowered - 0x20] : [lowered]),
};

/** `str.isidentifier`, which the name of a group must be. */
export function isIdentifier(name: string): boolean {
  return /^[_\p{XIDS}]\p{XIDC}*$/u.test(name) && !newer.test(name);
}

/** The characters of a text as CPython counts them: a lone surrogate is one, a pair is one. */
export function codePointsOf(text: string): number[] {
  return Array.from(text, firstOf);
}

/** CPython takes the first character of a full case mapping, as in "SS" for the sharp s. */
export function unicodeUpper(codePoint: number): number {
  const upper = String.fromCodePoint(codePoint).toUpperCase();
  return newer.test(upper) ? codePoint : firstOf(upper);
}

function asciiLower(codePoint: number): number {
  return isBetween(codePoint, 0x41, 0x5a) ? codePoint + 0x20 : codePoint;
}

function unicodeLower(codePoint: number): number {
  if (codePoint < 0x80) return asciiLower(codePoint);
  const letter = String.fromCodePoint(codePoint);
  return newer.test(letter) ? codePoint : firstOf(letter.toLowerCase());
}

function isKnown(codePoint: number, pattern: RegExp): boolean {
  const character = String.fromCodePoint(codePoint);
  return pattern.test(character) && !newer.test(character);
}

function isAmong(codePoint: number, characters: string): boolean {
  return characters.includes(String.fromCodePoint(codePoint));
}

function isBetween(codePoint: number, low: number, high: number): boolean {
  return low <= codePoint && codePoint <= high;
}

function firstOf(text: string): number {
  return text.codePointAt(0) ?? 0;
}
