import { PatternError } from "./syntax.ts";

/** Hands out a pattern's tokens: characters, and backslashes with the character after them. */
export type Source = {
  readonly next: string | undefined;
  take: () => string | undefined;
  /** Takes the next token if it is this one. */
  match: (token: string) => boolean;
  takeWhile: (limit: number, allowed: RegExp) => string;
  /** Takes a name and what ends it. */
  takeUntil: (terminator: string, what: string) => string;
  /** Takes all up to and including this token. False if it never came. */
  skipPast: (token: string) => boolean;
  /** The next token's place in the pattern, in characters. */
  position: () => number;
  seek: (position: number) => void;
  /** For throwing: what is wrong, `back` characters before the next token. */
  error: (problem: string, back?: number) => PatternError;
};

export function sourceOf(pattern: string): Source {
  const characters = Array.from(pattern);
  let next: string | undefined;
  let end = 0;

  const source: Source = {
    get next() {
      return next;
    },
    take() {
      const taken = next;
      source.seek(end);
      return taken;
    },
    match(token) {
      if (next !== token) return false;
      source.take();
      return true;
    },
    takeWhile(limit, allowed) {
      let taken = "";
      while (taken.length < limit && next !== undefined && allowed.test(next)) {
        taken += next;
        source.take();
      }
      return taken;
    },
    takeUntil(terminator, what) {
      const start = source.position();
      let taken = "";
      for (let token = source.take(); token !== terminator; token = source.take()) {
        if (token === undefined) {
          const problem = taken === "" ? `missing ${what}` : `missing ${terminator}, unterminated name`;
          throw source.error(problem, source.position() - start);
        }
        taken += token;
      }
      if (taken === "") throw source.error(`missing ${what}`, 1);
      return taken;
    },
    skipPast(token) {
      while (next !== undefined) if (source.take() === token) return true;
      return false;
    },
    position: () => end - Array.from(next ?? "").length,
    seek(position) {
      const character = characters[position];
      if (character === "\\" && position + 1 === characters.length)
        throw new PatternError(`bad escape (end of pattern) at position ${position}`);
      next = character === "\\" ? character + characters[position + 1] : character;
      end = character === undefined ? position : position + Array.from(next ?? "").length;
    },
    error: (problem, back = 0) => new PatternError(`${problem} at position ${source.position() - back}`),
  };
  source.seek(0);
  return source;
}
