import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { parseTagPattern } from "../src/tag-pattern.ts";
import { unicodeCasing, unicodeCategories } from "../src/tag-pattern/characters.ts";
import moreVectors from "./vectors/consumer-tags-more.json" with { type: "json" };
import vectors from "./vectors/consumer-tags.json" with { type: "json" };

const REFERRING_LOOP = "a repeat around groups referred to must match in one way only";
const IDLE_LOOP = "a repeat of what may be empty is not supported here: atomic, or with groups referred to";
const TOO_COSTLY = "too many ways to match, a tag could take too long";
const TOO_LARGE = "too large once its counted repeats are written out";
const NAMED = String.raw`\N{...} is not supported, write the character itself or its \u escape`;

/** What CPython answers in the vectors, but is refused here. */
const NOT_SUPPORTED = new Map([
  [String.raw`\N{LATIN SMALL LETTER L WITH STROKE}`, NAMED],
  ["(?:(?(1)b|a)(c)?)+", REFERRING_LOOP],
]);

describe.each([
  { name: "the contract's patterns", ...vectors },
  { name: "more patterns", ...moreVectors },
])("$name are answered, or refused, as CPython does", ({ tags, cases }) => {
  test.each(cases)("$pattern", ({ pattern, matches, error }) => {
    const refusal = error ?? NOT_SUPPORTED.get(pattern);
    expect(answersTo(pattern, tags)).toEqual(refusal === undefined ? { matches } : { refusal });
  });
});

describe("a pattern that CPython accepts is refused, with the reason, if", () => {
  test.each([
    { name: "it is long", pattern: "a".repeat(1_001), refusal: "longer than 1000 characters" },
    { name: "it is deep", pattern: nested(101), refusal: "groups more than 100 deep" },
    { name: "its repeats count far", pattern: "(?:ab){5000}", refusal: TOO_LARGE },
    { name: "its repeats of repeats do", pattern: "(?:(?:(?:ab){20}){20}){20}", refusal: TOO_LARGE },
    { name: "its repeats of nothing do", pattern: "(?:){4000000000}", refusal: TOO_LARGE },
    { name: "it looks around a lot", pattern: "(?=.{0,250}x)".repeat(9), refusal: TOO_COSTLY },
    { name: "its groups vary a lot", pattern: String.raw`(.*).*\1.*x`, refusal: TOO_COSTLY },
    { name: "its choices vary a lot", pattern: String.raw`(?:(a)|(b)|c){20}\1`, refusal: TOO_COSTLY },
    { name: "a loop varies around a group", pattern: String.raw`(a+)+\1$`, refusal: REFERRING_LOOP },
    { name: "a loop idles around a group", pattern: String.raw`(a*)*\1b`, refusal: IDLE_LOOP },
    { name: "a loop idles in an atomic group", pattern: "(?>(?:|a)*)b", refusal: IDLE_LOOP },
    {
      name: "a possessive loop is around a group",
      pattern: String.raw`(?:(a)|b){2}+\1`,
      refusal: "a possessive repeat around groups referred to is not supported",
    },
    {
      name: "a condition is on the group around it",
      pattern: "(?:(a(?(1)b|c)))+",
      refusal: "a condition on a group around it is not supported at position 8",
    },
    {
      name: "a condition has a strange number",
      pattern: "(a)(?(+1)b)",
      refusal: "bad character in group name '+1' at position 6",
    },
    { name: "it names a character", pattern: String.raw`[\N{EM DASH}]`, refusal: NAMED },
    {
      name: "it has the template flag",
      pattern: "(?t)a",
      refusal: "flag 't' is not supported at position 3",
    },
    {
      name: "it has capitals that CPython 3.11 gets wrong",
      pattern: "(?i)[\u{10400}x]",
      refusal: "capitals above U+FFFF are not supported where case is ignored",
    },
  ])("$name", ({ pattern, refusal }) => {
    expect(answersTo(pattern, [])).toEqual({ refusal });
  });
});

describe("the longest tags are answered in time, where backtracking would take ages:", () => {
  const tags = ["a".repeat(255), `${"a".repeat(254)}!`, `${"ab".repeat(127)}!`];
  const [allA, endOfA, pairs] = tags;
  test.each([
    { pattern: "(a+)+$", matches: [allA] },
    { pattern: "^(a|aa)+$", matches: [allA] },
    { pattern: "(a|a?)+$", matches: tags },
    { pattern: "(a|a)*b", matches: [pairs] },
    { pattern: "(a*)*b", matches: [pairs] },
    { pattern: "(?:a*?)*?b", matches: [pairs] },
    { pattern: "(.*)*x", matches: [] },
    { pattern: "(x+x+)+y", matches: [] },
    { pattern: ".*".repeat(499), matches: tags },
    { pattern: `${".*".repeat(499)}x`, matches: [] },
    { pattern: "((a{1,9}){1,9}){1,9}b", matches: [pairs] },
    { pattern: "(?:(?:(?:a{0,9}b?){0,9}){0,9}){0,3}x", matches: [] },
    { pattern: "(?:a?){255}a{255}", matches: [allA] },
    { pattern: "(?:.{0,200}){20}x", matches: [] },
    { pattern: "(?=.*(?=.*(?=.*(?=.*!))))y", matches: [] },
    { pattern: "(?!.*(?:a|a)*c).!$", matches: [endOfA, pairs] },
    { pattern: "(?:(?>a*b)|a)*x", matches: [] },
    { pattern: "(?:a*+b|a)*x", matches: [] },
    { pattern: String.raw`(?:(\w)\1)+x`, matches: [] },
    { pattern: String.raw`(\w+)\W(\w+)\W\1\W\2`, matches: [] },
    { pattern: String.raw`^(?:a|aa)*b(\w+)\1(?:a|aa)*!`, matches: [pairs] },
    // As slow as it can be: about half a second.
    { pattern: String.raw`(.*)(.*)\1\2x`, matches: [] },
    { pattern: `(?=(?:(?:${"a?".repeat(150)})*c|a*!))y`, matches: [] },
  ])("$pattern", { timeout: 10_000 }, ({ pattern, matches }) => {
    expect(answersTo(pattern, tags)).toEqual({ matches });
  });
});

test.each([
  { name: "of 255 bytes", tag: "a".repeat(255), pattern: "^.{255}$" },
  { name: "of 255 bytes, but fewer characters", tag: "消".repeat(85), pattern: "^.{85}$" },
  { name: "of characters above U+FFFF", tag: "😀".repeat(63), pattern: "^.{63}$" },
  {
    name: "of halves of such characters",
    tag: "\uD83D-".repeat(9),
    pattern: String.raw`^(?:\ud83d-){9}$`,
  },
  { name: "shorter than what may be repeated", tag: "a", pattern: "^.{0,65535}$" },
])("a tag $name is counted in characters", ({ tag, pattern }) => {
  expect(answersTo(pattern, [tag])).toEqual({ matches: [tag] });
});

test("what must be repeated more often than a tag is long does not match", () => {
  expect(answersTo("a{256}", ["a".repeat(255)])).toEqual({ matches: [] });
});

test("a group's name may be as long as the pattern", () => {
  const name = "n".repeat(480);
  expect(answersTo(`(?P<${name}>a)(?P=${name})`, ["aa", "ab"])).toEqual({ matches: ["aa"] });
});

describe("of all characters, as many have as CPython 3.11 says, and the same ones:", () => {
  const characters = Array.from({ length: 0x110000 }, (_, codePoint) => codePoint);
  test.each([
    { name: "word", has: unicodeCategories.word, count: 133_548, digest: "ef7b322541e4ef00" },
    { name: "digit", has: unicodeCategories.digit, count: 660, digest: "3ff51e192d08c856" },
    { name: "space", has: unicodeCategories.space, count: 29, digest: "e05ee518cf7a3421" },
  ])("the $name class", ({ has, count, digest }) => {
    const found = characters.filter(has);
    expect({ count: found.length, digest: digestOf(found) }).toEqual({ count, digest });
  });

  test("another lower case", () => {
    const { lower } = unicodeCasing;
    const found = characters.flatMap((character) =>
      lower(character) === character ? [] : [character, lower(character)],
    );
    expect(digestOf(found)).toBe("5d88a295bf322a7c");
  });
});

describe("a text of any length is answered, or given up, in so many steps:", () => {
  const within = (pattern: string, text: string, mostSteps = 2 ** 20) => {
    const parsed = parseTagPattern(pattern);
    return parsed.ok && parsed.matchesWithin(text, mostSteps);
  };
  const long = "a".repeat(100_000);

  test.each([
    { name: "a word", pattern: "ok", text: `${long}ok`, answer: true },
    { name: "a word that is not there", pattern: "ok", text: long, answer: false },
    { name: "two words", pattern: "(?s)up.*ok", text: `up${long}ok`, answer: true },
    { name: "a short text", pattern: "(?:a|aa)+b", text: "a".repeat(1_000), answer: false },
    { name: "many beginnings", pattern: ".*ok", text: long, answer: undefined },
    { name: "many ways", pattern: "(?:a|aa)+b", text: long, answer: undefined },
    { name: "many ways back", pattern: String.raw`(a*)\1b`, text: long, answer: undefined },
    { name: "much to look ahead for", pattern: "a(?=.*b)", text: long, answer: undefined },
    { name: "possessive rounds", pattern: "(?:a|b)++c", text: long, answer: undefined },
    { name: "a long pattern", pattern: "a?".repeat(400), text: long, answer: undefined },
  ])("$name", { timeout: 1_000 }, ({ pattern, text, answer }) => {
    expect(within(pattern, text)).toBe(answer);
  });

  test("with few steps nothing is found, with enough of them what there is", () => {
    expect(within("a+b", "aaab", 10)).toBeUndefined();
    expect(within("a+b", "aaab", 100)).toBe(true);
    expect(within("a+c", "aaab", 10)).toBeUndefined();
    expect(within("a+c", "aaab", 100)).toBe(false);
  });
});

/** The first half of the SHA-256 of numbers written with a comma after each. */
function digestOf(numbers: readonly number[]): string {
  const text = numbers.map((number) => `${number},`).join("");
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function nested(depth: number): string {
  return `${"(".repeat(depth)}a${")".repeat(depth)}`;
}

/** The tags that a pattern occurs in, or why it is refused. */
function answersTo(pattern: string, tags: readonly string[]): { matches: string[] } | { refusal: string } {
  const parsed = parseTagPattern(pattern);
  return parsed.ok ? { matches: tags.filter(parsed.matches) } : { refusal: parsed.reason };
}
