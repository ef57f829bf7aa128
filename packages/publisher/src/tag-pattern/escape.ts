import { type Flags, type SetMember, characterSet, classOf, literal, positionOf } from "./atoms.ts";
import type { References } from "./references.ts";
import type { Source } from "./source.ts";
import { type Node, PatternError } from "./syntax.ts";

const CONTROLS: Record<string, number> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };
const HEXADECIMAL_LENGTHS: Record<string, number> = { x: 2, u: 4, U: 8 };
const LAST_CODE_POINT = 0x10ffff;
const LAST_OCTAL = 0o377;
const OCTAL_DIGIT = /^[0-7]$/;
const DIGIT = /^[0-9]$/;

/** What an escape outside of a set stands for, given its first two characters, which have been taken. */
export function parseEscape(source: Source, references: References, escape: string, flags: Flags): Node {
  const letter = escape.slice(1);
  const test = classOf(letter, flags);
  if (test) return characterSet([test], false, flags);
  const position = positionOf(letter, flags);
  if (position) return position;
  if (letter === "0") return literal(parseInt(letter + source.takeWhile(2, OCTAL_DIGIT), 8), flags);
  if (!DIGIT.test(letter)) return literal(characterEscape(source, escape), flags);

  let digits = letter + source.takeWhile(1, DIGIT);
  // Three octal digits are a character; any other number is a group's.
  if (/^[0-7]{2}$/.test(digits) && source.next !== undefined && OCTAL_DIGIT.test(source.next)) {
    digits += source.take();
    return literal(octal(source, digits), flags);
  }
  return references.backreference(Number(digits), digits.length + 1, flags);
}

/** What an escape inside of a set stands for. There, \b is a backspace and a number octal. */
export function parseSetEscape(source: Source, escape: string, flags: Flags): SetMember {
  const letter = escape.slice(1);
  const test = classOf(letter, flags);
  if (test) return test;
  const codePoint = OCTAL_DIGIT.test(letter)
    ? octal(source, letter + source.takeWhile(2, OCTAL_DIGIT))
    : characterEscape(source, escape);
  return { low: codePoint, high: codePoint };
}

function characterEscape(source: Source, escape: string): number {
  const letter = escape.slice(1);
  const control = CONTROLS[letter];
  if (control !== undefined) return control;
  const length = HEXADECIMAL_LENGTHS[letter];
  if (length !== undefined) return hexadecimal(source, escape, length);
  if (letter === "N")
    throw new PatternError("\\N{...} is not supported, write the character itself or its \\u escape");
  if (/^[0-9A-Za-z]$/.test(letter)) throw source.error(`bad escape ${escape}`, 2);
  return letter.codePointAt(0) ?? 0;
}

function hexadecimal(source: Source, escape: string, length: number): number {
  const digits = source.takeWhile(length, /^[0-9A-Fa-f]$/);
  const whole = escape + digits;
  if (digits.length !== length) throw source.error(`incomplete escape ${whole}`, whole.length);
  const codePoint = parseInt(digits, 16);
  if (LAST_CODE_POINT < codePoint) throw source.error(`bad escape ${whole}`, whole.length);
  return codePoint;
}

function octal(source: Source, digits: string): number {
  const codePoint = parseInt(digits, 8);
  if (codePoint <= LAST_OCTAL) return codePoint;
  throw source.error(`octal escape value \\${digits} outside of range 0-0o377`, digits.length + 1);
}
