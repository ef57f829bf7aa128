import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseJsonText, type Path } from "../src/json-text.ts";

function parsed(text: string) {
  const json = parseJsonText(text);
  if (!json.ok) throw new Error(json.unexpected);
  return json;
}

/** The rest of the text from a place on. */
function from(text: string, place: { line: number; column: number } | undefined): string {
  const lines = text.split("\n").slice((place?.line ?? 0) - 1);
  return lines.join("\n").slice((place?.column ?? 0) - 1);
}

/** A value and all that is in it, with their paths. */
function partsOf(value: unknown, path: Path = []): { path: Path; value: unknown }[] {
  if (typeof value !== "object" || value === null) return [{ path, value }];
  const isList = Array.isArray(value);
  const parts = Object.entries(value).flatMap(([key, part]) =>
    partsOf(part, [...path, isList ? Number(key) : key]),
  );
  return [{ path, value }, ...parts];
}

describe("whatever the JSON", () => {
  test("every part is found where it stands", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(4), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        const json = parsed(text);
        for (const { path, value } of partsOf(json.value)) {
          const [first = ""] = JSON.stringify(value);
          expect(from(text, json.placeOfValue(path)).startsWith(first)).toBe(true);
          const key = path.at(-1);
          if (typeof key !== "string") continue;
          expect(from(text, json.placeOfKey(path)).startsWith(`${JSON.stringify(key)}:`)).toBe(true);
        }
        expect(json.repeated).toEqual([]);
      }),
    );
  });

  test("it is taken, with the same value, or refused as JSON.parse does", () => {
    const pieces = fc.constantFrom(..."{}[]:,\\-.0e\n\t /a\u0000".split(""), '"', '"a"', "true", "null", "1");
    fc.assert(
      fc.property(
        fc.array(pieces).map((list) => list.join("")),
        (text) => {
          const json = parseJsonText(text);
          let value: unknown;
          try {
            value = JSON.parse(text);
          } catch {
            expect(json.ok).toBe(false);
            return;
          }
          expect(json).toMatchObject({ ok: true, value });
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

test.each([
  { what: "a comma too many", text: '{\n  "a": [1,]\n}', line: 2, column: 11, unexpected: "]" },
  { what: "a comma too few", text: '{\n  "a": 1\n  "b": 2\n}', line: 3, column: 3, unexpected: '"' },
  { what: "an open object", text: '{\n  "a": 1\n', line: 2, column: 9, unexpected: "end of the file" },
  { what: "nothing", text: "", line: 1, column: 1, unexpected: "end of the file" },
  { what: "a bare word", text: '{"a": hunter2}', line: 1, column: 7, unexpected: "text" },
  { what: "a comment", text: "{}\n// hunter2", line: 2, column: 1, unexpected: "/" },
  {
    what: "a line end in a text",
    text: '{"a":\n"x\ny"}',
    line: 2,
    column: 3,
    unexpected: "control character or line end in a text",
  },
  { what: "Windows line ends", text: '{\r\n"a":\r\n}', line: 3, column: 1, unexpected: "}" },
  { what: "a byte order mark", text: "\uFEFF{,}", line: 1, column: 2, unexpected: "," },
])("$what is told with its place and nothing secret", ({ text, line, column, unexpected }) => {
  expect(parseJsonText(text)).toEqual({ ok: false, place: { line, column }, unexpected });
});

test("Windows line ends count once, a byte order mark not at all", () => {
  const json = parsed('\uFEFF{\r\n  "a": 1 }');
  expect(json.placeOfKey(["a"])).toMatchObject({ line: 2, column: 3 });
});

test("what is missing is told where it belongs", () => {
  const json = parsed('{\n "a": [\n {"b": 1}]}');
  expect(json.placeOfValue(["a", 0, "c"])).toMatchObject({ line: 3, column: 2 });
  expect(json.placeOfValue(["a", 7, "c"])).toMatchObject({ line: 2, column: 7 });
  expect(json.placeOfValue(["x"])).toMatchObject({ line: 1, column: 1 });
});

describe("a key that occurs again", () => {
  test("is told with both places, also when it is spelt otherwise, and the last one's value is found", () => {
    const json = parsed('{"a": [{"b": 1,\n"\\u0062": 22}]}');
    expect(json.repeated).toMatchObject([
      { path: ["a", 0, "b"], place: { line: 2, column: 1 }, first: { line: 1, column: 9 } },
    ]);
    expect(json.placeOfValue(["a", 0, "b"])).toMatchObject({ line: 2, column: 11 });
    expect(json.value).toEqual({ a: [{ b: 22 }] });
  });

  test("is as good as any among notes", () => {
    expect(parsed('{"_": {"a": 1, "a": 2}, "_": 1, "$schema": "", "$schema": ""}').repeated).toEqual([]);
  });
});

test("a text that is nested too deep for its places is read without them", () => {
  const depth = 50_000;
  const json = parsed("[".repeat(depth) + "]".repeat(depth));
  expect(json.placeOfValue([0])).toBeUndefined();
  expect(json.repeated).toEqual([]);
});
