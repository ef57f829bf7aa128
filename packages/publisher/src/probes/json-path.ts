/** Names of members, and places in lists. */
export type JsonPath = readonly (string | number)[];

const MAX_PARTS = 50;
/** `name`, `.name`, `[0]` or `["any name"]`. */
const PART = /(?:^|\.)([^.[\]"\s]+)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\]/y;

/** Of a text such as `components.db.status`, `items[0].state` or `$["a.b"]`; undefined where it is none. */
export function parseJsonPath(text: string): JsonPath | undefined {
  const parts: (string | number)[] = [];
  const path = text.replace(/^\$(?=[.[])/, "");
  for (let at = 0; at < path.length; at = PART.lastIndex) {
    PART.lastIndex = at;
    const [, name, index, quoted] = PART.exec(path) ?? [];
    const part = name ?? (index === undefined ? unquoted(quoted) : Number(index));
    if (part === undefined || parts.length === MAX_PARTS) return undefined;
    parts.push(part);
  }
  return parts.length === 0 ? undefined : parts;
}

/** What stands there; undefined where nothing does. What every object inherits does not stand in it. */
export function valueAt(document: unknown, path: JsonPath): unknown {
  let value = document;
  for (const part of path) {
    const isThere = typeof part === "number" ? Array.isArray(value) : isObject(value);
    if (!isThere || !Object.hasOwn(Object(value), part)) return undefined;
    value = Reflect.get(Object(value), part);
  }
  return value;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unquoted(quoted: string | undefined): string | undefined {
  if (quoted === undefined) return undefined;
  try {
    return String(JSON.parse(quoted));
  } catch {
    return undefined; // an escape that JSON does not know
  }
}
