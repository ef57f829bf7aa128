import type { Flags } from "./atoms.ts";
import type { Source } from "./source.ts";
import type { PatternError } from "./syntax.ts";

/** Flags between brackets: for the whole pattern, or turned on and off for a group. */
export type FlagChange = { scope: "pattern" | "group"; on: string; off: string };

const FLAG = /^[aiLmstux]$/;

export function isFlag(token: string): boolean {
  return FLAG.test(token);
}

/** Reads the flags after `(?`, the first of which has been taken, up to the `)` or `:` behind them. */
export function parseFlags(source: Source, first: string): FlagChange {
  let token: string | undefined = first;
  let on = "";
  while (token !== "-") {
    on += checkedFlag(source, token, on);
    token = source.take();
    if (token === undefined) throw source.error("missing -, : or )");
    if (token === ")") return { scope: "pattern", on, off: "" };
    if (token === ":") return { scope: "group", on, off: "" };
    if (token !== "-" && !FLAG.test(token)) throw unknownFlag(source, token, "missing -, : or )");
  }
  return { scope: "group", on, off: parseFlagsOff(source, on) };
}

function parseFlagsOff(source: Source, on: string): string {
  let off = "";
  for (let token = source.take(); token !== ":"; token = source.take()) {
    const missing = off === "" ? "missing flag" : "missing :";
    if (token === undefined) throw source.error(missing);
    if (!FLAG.test(token)) throw unknownFlag(source, token, missing);
    if (/[aLu]/.test(token)) throw source.error("bad inline flags: cannot turn off flags 'a', 'u' and 'L'");
    off += token;
  }
  if (off === "") throw source.error("missing flag", 1);
  if (Array.from(off).some((flag) => on.includes(flag)))
    throw source.error("bad inline flags: flag turned on and off", 1);
  return off;
}

function checkedFlag(source: Source, flag: string, before: string): string {
  if (flag === "L") throw source.error("bad inline flags: cannot use 'L' flag with a str pattern");
  if (flag === "t") throw source.error("flag 't' is not supported");
  if ((flag === "a" && before.includes("u")) || (flag === "u" && before.includes("a")))
    throw source.error("bad inline flags: flags 'a', 'u' and 'L' are incompatible");
  return flag;
}

function unknownFlag(source: Source, token: string, missing: string): PatternError {
  return source.error(/^\p{L}$/u.test(token) ? "unknown flag" : missing, Array.from(token).length);
}

/** The flags inside a group that changes them. Of ASCII and UNICODE the later one wins. */
export function changed(flags: Flags, { on, off }: FlagChange): Flags {
  const isReplaced = (flag: string): boolean => /[au]/.test(flag) && /[au]/.test(on);
  const kept = Array.from(flags).filter((flag) => !off.includes(flag) && !isReplaced(flag));
  return new Set([...kept, ...Array.from(on)]);
}
