/** Control characters, direction marks and what else has no shape of its own, line ends and halves of surrogate pairs. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** A name that somebody else chose, for a terminal: there it could move the cursor, change colours or forge lines. */
export function printable(text: string): string {
  return text.replace(UNSEEN, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}
