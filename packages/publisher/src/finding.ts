import type { Json, Path, Place } from "./json-text.ts";

/** Something to say about a place in a file, never with the value that stands there. */
export interface Finding {
  /** Undefined when it cannot be told. */
  readonly place: Place | undefined;
  readonly text: string;
}

/** About the value at `path` or, when it is missing, about the place where it belongs. */
export function finding(json: Json, path: Path, message: string): Finding {
  return { place: json.placeOfValue(path), text: `${pathText(path)}: ${message}` };
}

/** Of a file that is wrong from top to bottom. */
const MAX_TOLD = 200;

/** A line for each, such as `line 3, column 5: heartbeat.hosts[0].port: expected a port`, in the order of the places; the first 200 of them. */
export function told(findings: readonly Finding[]): string[] {
  const lines = findings
    .toSorted(byPlace)
    .slice(0, MAX_TOLD)
    .map(({ place, text }) => (place ? `line ${place.line}, column ${place.column}: ${text}` : text));
  const more = findings.length - lines.length;
  return more > 0 ? [...lines, `and ${more} more`] : lines;
}

function byPlace({ place: a }: Finding, { place: b }: Finding): number {
  return (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0);
}

/** Such as `heartbeat.hosts[0].port`. */
export function pathText(path: Path): string {
  return path.length === 0 ? "the file" : path.map(partText).join("");
}

function partText(part: PropertyKey, index: number): string {
  if (typeof part === "number") return `[${part}]`;
  const key = String(part);
  if (!/^[\w$-]+$/.test(key)) return `[${JSON.stringify(key)}]`;
  return index > 0 ? `.${key}` : key;
}
