import { type Flags, comparedAs } from "./atoms.ts";
import { isIdentifier } from "./characters.ts";
import type { Source } from "./source.ts";
import type { Node, PatternError, Width } from "./syntax.ts";

/** The groups of a pattern that is being read, and who looks at them. Numbers begin at 1. */
export type References = {
  open: (name?: string) => number;
  close: (group: number, width: Width) => void;
  backreference: (group: number, back: number, flags: Flags) => Node;
  namedBackreference: (flags: Flags) => Node;
  /** The group that a condition asks for, from its name or number. It may be yet to come. */
  condition: () => number;
  /** Reads a look-behind, in which groups that begin there cannot be referred to. */
  lookingBehind: <Result>(read: () => Result) => Result;
  /** Groups that anyone looks at. Throws if one of them never came. */
  finish: () => ReadonlySet<number>;
};

export function referencesOf(source: Source): References {
  /** The widths of groups that have ended, by number. Undefined while a group is open. */
  const widths: (Width | undefined)[] = [undefined];
  const names = new Map<string, number>();
  const referenced = new Set<number>();
  const missing = new Map<number, PatternError>();
  let firstInLookBehind: number | undefined;

  return {
    open(name) {
      const group = widths.push(undefined) - 1;
      if (name === undefined) return group;
      const earlier = names.get(name);
      if (earlier !== undefined) {
        const problem = `redefinition of group name '${name}' as group ${group}; was group ${earlier}`;
        throw source.error(problem, lengthOf(name) + 1);
      }
      names.set(name, group);
      return group;
    },
    close(group, width) {
      widths[group] = width;
    },
    backreference,
    namedBackreference(flags) {
      const name = source.takeUntil(")", "group name");
      checkName(source, name);
      return backreference(numberOf(name), lengthOf(name) + 1, flags);
    },
    condition() {
      const name = source.takeUntil(")", "group name");
      const group = isIdentifier(name) ? numberOf(name) : parseNumber(source, name);
      if (widths.length <= group)
        missing.set(group, source.error(`invalid group reference ${group}`, lengthOf(name) + 1));
      checkLookBehind(group);
      // What CPython sees of a group that is open is what an earlier round of a repeat has left.
      if (group < widths.length && widths[group] === undefined)
        throw source.error("a condition on a group around it is not supported", lengthOf(name) + 1);
      referenced.add(group);
      return group;
    },
    lookingBehind(read) {
      if (firstInLookBehind !== undefined) return read();
      firstInLookBehind = widths.length;
      const result = read();
      firstInLookBehind = undefined;
      return result;
    },
    finish() {
      for (const [group, error] of missing) if (widths.length <= group) throw error;
      return referenced;
    },
  };

  function backreference(group: number, back: number, flags: Flags): Node {
    if (widths.length <= group) throw source.error(`invalid group reference ${group}`, back - 1);
    const width = widths[group];
    if (!width) throw source.error("cannot refer to an open group", back);
    checkLookBehind(group);
    referenced.add(group);
    return { kind: "backreference", group, width, lower: comparedAs(flags) };
  }

  function numberOf(name: string): number {
    const group = names.get(name);
    if (group === undefined) throw source.error(`unknown group name '${name}'`, lengthOf(name) + 1);
    return group;
  }

  function checkLookBehind(group: number): void {
    if (firstInLookBehind === undefined) return;
    if (!widths[group]) throw source.error("cannot refer to an open group");
    if (firstInLookBehind <= group)
      throw source.error("cannot refer to group defined in the same lookbehind subpattern");
  }
}

export function checkName(source: Source, name: string): void {
  if (!isIdentifier(name)) throw source.error(`bad character in group name '${name}'`, lengthOf(name) + 1);
}

/** CPython 3.11 still takes "+1" and "1_0" for numbers too, with a warning; later ones do not. */
function parseNumber(source: Source, name: string): number {
  if (!/^[0-9]+$/.test(name)) throw source.error(`bad character in group name '${name}'`, lengthOf(name) + 1);
  if (Number(name) === 0) throw source.error("bad group number", lengthOf(name) + 1);
  return Number(name);
}

function lengthOf(name: string): number {
  return Array.from(name).length;
}
