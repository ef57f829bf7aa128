import { type Flags, type SetMember, characterSet } from "./atoms.ts";
import { parseSetEscape } from "./escape.ts";
import type { Source } from "./source.ts";
import type { Node } from "./syntax.ts";

/** Reads a set up to its end; its opening bracket has been taken. */
export function parseSet(source: Source, flags: Flags): Node {
  const start = source.position() - 1;
  const take = (): string => {
    const token = source.take();
    if (token === undefined) throw source.error("unterminated character set", source.position() - start);
    return token;
  };

  const negative = source.match("^");
  const members: SetMember[] = [];
  for (let token = take(); token !== "]" || members.length === 0; token = take()) {
    const member = parseMember(source, token, flags);
    if (!source.match("-")) {
      members.push(member);
      continue;
    }
    const last = take();
    if (last === "]") {
      members.push(member, parseMember(source, "-", flags));
      break;
    }
    const end = parseMember(source, last, flags);
    if (typeof member === "function" || typeof end === "function" || end.high < member.low) {
      const range = `${token}-${last}`;
      throw source.error(`bad character range ${range}`, Array.from(range).length);
    }
    members.push({ low: member.low, high: end.high });
  }
  return characterSet(members, negative, flags);
}

function parseMember(source: Source, token: string, flags: Flags): SetMember {
  if (token.startsWith("\\")) return parseSetEscape(source, token, flags);
  const codePoint = token.codePointAt(0) ?? 0;
  return { low: codePoint, high: codePoint };
}
