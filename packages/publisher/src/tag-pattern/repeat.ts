import type { Source } from "./source.ts";
import { type Node, PatternError, type Repeat, UNLIMITED, type Width } from "./syntax.ts";

const BOUNDS: Record<string, Width> = {
  "?": { min: 0, max: 1 },
  "*": { min: 0, max: UNLIMITED },
  "+": { min: 1, max: UNLIMITED },
};

/** Reads a repeat of `body` from its first character on, which has been taken. Undefined for a mere brace. */
export function parseRepeat(source: Source, token: string, body: Node | undefined): Repeat | undefined {
  const start = source.position() - 1;
  const bounds = token === "{" ? parseBounds(source) : BOUNDS[token];
  if (!bounds) return undefined;
  const back = source.position() - start;
  if (!body || body.kind === "position") throw source.error("nothing to repeat", back);
  if (body.kind === "repeat") throw source.error("multiple repeat", back);
  const mode = source.match("?") ? "lazy" : source.match("+") ? "possessive" : "greedy";
  return { kind: "repeat", body, ...bounds, mode };
}

/** Reads what follows an opening brace. Undefined, with nothing taken, if that makes no repeat. */
function parseBounds(source: Source): Width | undefined {
  const start = source.position();
  if (source.next === "}") return undefined;
  const low = takeDigits(source);
  const high = source.match(",") ? takeDigits(source) : low;
  if (!source.match("}")) {
    source.seek(start);
    return undefined;
  }
  const min = low === "" ? 0 : Number(low);
  const max = high === "" ? UNLIMITED : Number(high);
  if (UNLIMITED <= min || (high !== "" && UNLIMITED <= max))
    throw new PatternError("the repetition number is too large");
  if (max < min) throw source.error("min repeat greater than max repeat", source.position() - start);
  return { min, max };
}

function takeDigits(source: Source): string {
  return source.takeWhile(Infinity, /^[0-9]$/);
}
