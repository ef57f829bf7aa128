import { expect, test } from "vitest";
import { printable, printableJson } from "../src/printable.ts";

test.each([
  { text: "sda-db", shown: "sda-db" },
  { text: "Blåbær 🫐, 心", shown: "Blåbær 🫐, 心" },
  { text: "\u001B[2Jgone", shown: "\\u{1b}[2Jgone" },
  { text: "\u009B31mred", shown: "\\u{9b}31mred" },
  { text: "db\r\nqueue: up\t\0\u007F", shown: "db\\u{d}\\u{a}queue: up\\u{9}\\u{0}\\u{7f}" },
  { text: "a\u2028b\u2029c", shown: "a\\u{2028}b\\u{2029}c" },
  { text: "\u202Epu si bd", shown: "\\u{202e}pu si bd" },
  { text: "\u2066x\u2069\u200B\uFEFF", shown: "\\u{2066}x\\u{2069}\\u{200b}\\u{feff}" },
  { text: "half \uD83D", shown: "half \\u{d83d}" },
  { text: "\u{E0041}", shown: "\\u{e0041}" },
])("$shown is what a terminal is given", ({ text, shown }) => {
  expect(printable(text)).toBe(shown);
});

test.each([
  "sda-db",
  "Blåbær 🫐, 心",
  "\u009B31m",
  "\u202Epu si bd",
  "half \uD83D",
  "\u{E0041}",
  'a "b"\r\n\0',
])("%j is a line of printable JSON that is read as the same text", (text) => {
  const line = printableJson(`${JSON.stringify({ text })}\n`);
  expect(line).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+\n$/u);
  expect(JSON.parse(line)).toEqual({ text });
});
