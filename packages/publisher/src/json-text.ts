import { type DocumentNode, type MemberNode, parse, type ValueNode } from "@humanwhocodes/momoa";

/** Lines and columns count from 1, columns in UTF-16 code units. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export type Path = readonly PropertyKey[];

export interface Repeated {
  readonly path: Path;
  readonly place: Place;
  readonly first: Place;
}

/** A JSON text's value, with the places of its parts. */
export interface Json {
  readonly ok: true;
  readonly value: unknown;
  /** Where the value at `path` stands or, when there is none, the innermost value around it. */
  placeOfValue(path: Path): Place | undefined;
  placeOfKey(path: Path): Place | undefined;
  /** Keys that occur again in their object, so that `value` has only the last of them. Notes are passed over. */
  readonly repeated: readonly Repeated[];
}

interface NoJson {
  readonly ok: false;
  readonly place: Place | undefined;
  /** What is not expected there, in words that show no more of it than punctuation. */
  readonly unexpected: string;
}

/** Keys that begin with `_` are for people, `$schema` is for editors. */
export function isNote(key: string): boolean {
  return key.startsWith("_") || key === "$schema";
}

/** Reads JSON as JSON.parse does, after a byte order mark if there is one. */
export function parseJsonText(text: string): Json | NoJson {
  const json = text.replace(/^\uFEFF/, "");
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    return { ok: false, ...syntaxProblem(json, error) };
  }
  const body = documentOf(json)?.body;
  return {
    ok: true,
    value,
    placeOfValue: (path) => body && lookUp(body, path).value.loc.start,
    placeOfKey: (path) => body && (lookUp(body, path).key ?? body).loc.start,
    repeated: body ? repeatedKeys(body, []) : [],
  };
}

/** Undefined for a text that is nested too deep to be looked at. */
function documentOf(json: string): DocumentNode | undefined {
  try {
    return parse(json, { mode: "json" });
  } catch {
    return undefined; // JSON.parse took it: only the places are lost
  }
}

/** What the path leads to, as far as it leads; of a repeated key the last counts, as in JSON.parse. */
function lookUp(body: ValueNode, path: Path): { key: MemberNode["name"] | undefined; value: ValueNode } {
  let [key, value]: [MemberNode["name"] | undefined, ValueNode] = [undefined, body];
  for (const part of path) {
    if (value.type === "Object") {
      const member = value.members.findLast((member) => keyOf(member) === part);
      if (!member) break;
      [key, value] = [member.name, member.value];
    } else {
      const element = value.type === "Array" ? value.elements[Number(part)] : undefined;
      if (!element) break;
      value = element.value;
    }
  }
  return { key, value };
}

function repeatedKeys(node: ValueNode, path: Path): Repeated[] {
  if (node.type === "Array") {
    return node.elements.flatMap((element, index) => repeatedKeys(element.value, [...path, index]));
  }
  if (node.type !== "Object") return [];
  const first = new Map<string, Place>();
  const found: Repeated[] = [];
  for (const member of node.members) {
    const key = keyOf(member);
    if (isNote(key)) continue;
    const place = member.name.loc.start;
    const before = first.get(key);
    if (before) found.push({ path: [...path, key], place, first: before });
    else first.set(key, place);
    found.push(...repeatedKeys(member.value, [...path, key]));
  }
  return found;
}

/** In JSON every key is a text; the parser knows other languages, too. */
function keyOf({ name }: MemberNode): string {
  return name.type === "String" ? name.value : name.name;
}

function syntaxProblem(json: string, error: unknown): { place: Place | undefined; unexpected: string } {
  const offset = offsetOf(json, error);
  if (offset === undefined) return { place: undefined, unexpected: "text" };
  const lines = json.slice(0, offset).split(/\r\n|\n|\r/);
  const place = { line: lines.length, column: (lines.at(-1) ?? "").length + 1 };
  return { place, unexpected: named(json.slice(offset)) };
}

/** A file that is no JSON may hold a secret by mistake. */
function named(rest: string): string {
  const [character = ""] = rest;
  if (rest.trim() === "") return "end of the file";
  if (character < " ") return "control character or line end in a text";
  return "{}[]:,\"'/#".includes(character) ? character : "text";
}

/** V8 does not always tell the place, and the parser with places lets control characters pass. */
function offsetOf(json: string, error: unknown): number | undefined {
  try {
    parse(json, { mode: "json" });
  } catch (problem) {
    if (problem instanceof Error && "offset" in problem && typeof problem.offset === "number") {
      return problem.offset;
    }
  }
  const position = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
  return position === undefined ? undefined : Number(position);
}
