/** The same numbers for the same seed: mulberry32. Not for secrets. */
export interface Random {
  /** From `least` up to, but not including, `most`. */
  between(least: number, most: number): number;
  /** @throws when there is nothing to choose from */
  oneOf<T>(list: readonly T[]): T;
  shuffled<T>(list: readonly T[]): T[];
  /** True in that part of all cases. */
  chance(part: number): boolean;
}

export function seededRandom(seed: number): Random {
  let state = seed | 0;
  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }
  return {
    between: (least, most) => least + next() * (most - least),
    oneOf(list) {
      const chosen = list[Math.floor(next() * list.length)];
      if (chosen === undefined) throw new Error("nothing to choose from");
      return chosen;
    },
    shuffled(list) {
      const keyed = list.map((item) => ({ item, key: next() }));
      return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
    },
    chance: (part) => next() < part,
  };
}
