import { type Flags, anyCharacter, caret, dollar, literal } from "./atoms.ts";
import { parseEscape } from "./escape.ts";
import { changed, isFlag, parseFlags } from "./flags.ts";
import { type References, checkName, referencesOf } from "./references.ts";
import { parseRepeat } from "./repeat.ts";
import { parseSet } from "./set.ts";
import { type Source, sourceOf } from "./source.ts";
import { type Node, PatternError, widthOf } from "./syntax.ts";

const DEEPEST_NESTING = 100;

export type Pattern = { root: Node; referenced: ReadonlySet<number> };

type Scope = {
  source: Source;
  references: References;
  flags: Flags;
  /** Grows while the scope is the whole pattern's: these flags stand before all that they could matter to. */
  globalFlags: Set<string>;
  depth: number;
};

/**
 * Reads a pattern as CPython 3.11 does; the order of the checks and their words follow its `re/_parser.py`.
 * @throws {PatternError} for what CPython rejects, and for the little that is not supported.
 */
export function parsePattern(pattern: string): Pattern {
  const source = sourceOf(pattern);
  const references = referencesOf(source);
  const flags = new Set<string>();
  const root = parseChoice({ source, references, flags, globalFlags: flags, depth: 0 });
  if (flags.has("a") && flags.has("u")) throw new PatternError("ASCII and UNICODE flags are incompatible");
  if (source.next !== undefined) throw source.error("unbalanced parenthesis");
  return { root, referenced: references.finish() };
}

function parseChoice(scope: Scope): Node {
  const first = parseSequence(scope, scope.depth === 0);
  const options = [first];
  while (scope.source.match("|")) options.push(parseSequence(scope));
  return options.length === 1 ? first : { kind: "choice", options };
}

function parseSequence(scope: Scope, isFirst = false): Node {
  const { source, flags, depth } = scope;
  if (DEEPEST_NESTING < depth) throw new PatternError(`groups more than ${DEEPEST_NESTING} deep`);
  const items: Node[] = [];
  for (let token = source.next; token !== undefined && token !== "|" && token !== ")"; token = source.next) {
    source.take();
    if (flags.has("x") && token === "#") source.skipPast("\n");
    else if (!flags.has("x") || !/^[ \t\n\r\v\f]$/.test(token)) parseItem(scope, token, items, isFirst);
  }
  return { kind: "sequence", items };
}

/** Adds what begins with a token, or repeats the last of `items`. */
function parseItem(scope: Scope, token: string, items: Node[], isFirst: boolean): void {
  const { source, references, flags } = scope;
  if (token === "(") {
    const group = parseGroup(scope, isFirst && items.length === 0);
    if (group) items.push(group);
    return;
  }
  const repeat = /^[?*+{]$/.test(token) ? parseRepeat(source, token, items.at(-1)) : undefined;
  if (repeat) items[items.length - 1] = repeat;
  else if (token.startsWith("\\")) items.push(parseEscape(source, references, token, flags));
  else if (token === "[") items.push(parseSet(source, flags));
  else if (token === ".") items.push(anyCharacter(flags));
  else if (token === "^") items.push(caret(flags));
  else if (token === "$") items.push(dollar(flags));
  else items.push(literal(token.codePointAt(0) ?? 0, flags));
}

/** Reads what follows an opening parenthesis. Undefined for comments and for flags of the whole pattern. */
function parseGroup(scope: Scope, isFirst: boolean): Node | undefined {
  const { source } = scope;
  const start = source.position() - 1;
  if (!source.match("?")) return parseCapture(scope, start);
  const token = take(source);
  switch (token) {
    case "P":
      return parseNamed(scope, start);
    case ":":
      // Kept apart from what is in it: a repeat may follow a group where it may not follow a repeat.
      return { kind: "sequence", items: [parseBody(scope, start)] };
    case "#":
      if (!source.skipPast(")"))
        throw source.error("missing ), unterminated comment", source.position() - start);
      return undefined;
    case "=":
    case "!":
    case "<":
      return parseLook(scope, start, token);
    case "(":
      return parseConditional(scope, start);
    case ">":
      return { kind: "atomic", body: parseBody(scope, start) };
    default:
      if (!isFlag(token) && token !== "-")
        throw source.error(`unknown extension ?${token}`, Array.from(token).length + 1);
      return parseFlagGroup(scope, start, token, isFirst);
  }
}

function parseCapture(scope: Scope, start: number, name?: string): Node {
  const group = scope.references.open(name);
  const body = parseBody(scope, start);
  scope.references.close(group, widthOf(body));
  return { kind: "capture", group, body };
}

function parseNamed(scope: Scope, start: number): Node {
  const { source, references, flags } = scope;
  if (source.match("=")) return references.namedBackreference(flags);
  if (source.match("<")) {
    const name = source.takeUntil(">", "group name");
    checkName(source, name);
    return parseCapture(scope, start, name);
  }
  const token = take(source);
  throw source.error(`unknown extension ?P${token}`, Array.from(token).length + 2);
}

function parseLook(scope: Scope, start: number, first: string): Node {
  const { source, references } = scope;
  if (first !== "<") return { kind: "look", back: 0, negative: first === "!", body: parseBody(scope, start) };
  const token = take(source);
  if (token !== "=" && token !== "!")
    throw source.error(`unknown extension ?<${token}`, Array.from(token).length + 2);
  const body = references.lookingBehind(() => parseBody(scope, start));
  const { min, max } = widthOf(body);
  if (min !== max) throw new PatternError("look-behind requires fixed-width pattern");
  return { kind: "look", back: min, negative: token === "!", body };
}

function parseConditional(scope: Scope, start: number): Node {
  const { source, references } = scope;
  const group = references.condition();
  const inner = { ...scope, depth: scope.depth + 1 };
  const yes = parseSequence(inner);
  const no: Node = source.match("|") ? parseSequence(inner) : { kind: "sequence", items: [] };
  if (source.next === "|") throw source.error("conditional backref with more than two branches");
  end(source, start);
  return { kind: "conditional", group, yes, no };
}

function parseFlagGroup(scope: Scope, start: number, first: string, isFirst: boolean): Node | undefined {
  const { source, flags, globalFlags } = scope;
  const change = parseFlags(source, first);
  if (change.scope === "group")
    return { kind: "sequence", items: [parseBody({ ...scope, flags: changed(flags, change) }, start)] };
  if (!isFirst)
    throw source.error("global flags not at the start of the expression", source.position() - start);
  for (const flag of change.on) globalFlags.add(flag);
  return undefined;
}

function parseBody(scope: Scope, start: number): Node {
  const body = parseChoice({ ...scope, depth: scope.depth + 1 });
  end(scope.source, start);
  return body;
}

function end(source: Source, start: number): void {
  if (!source.match(")")) throw source.error("missing ), unterminated subpattern", source.position() - start);
}

function take(source: Source): string {
  const token = source.take();
  if (token === undefined) throw source.error("unexpected end of pattern");
  return token;
}
