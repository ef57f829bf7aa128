import { pino } from "pino";
import { expect, test } from "vitest";
import { type RejectionCode, rejections } from "../src/rejection.ts";

function started() {
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
  const refused = rejections(log);
  const add = (code: RejectionCode, reason: string, receivedAtMs: number) =>
    refused.add([{ code, reason, receivedAtMs, head: "" }]);
  return { ...refused, add, lines };
}

test("every reason is counted, from nought", () => {
  const { add, counts } = started();
  expect(new Set(counts().values())).toEqual(new Set([0]));
  add("unsigned", "a", 0);
  add("unsigned", "b", 0);
  expect(counts()).toEqual(new Map([...counts()].map(([code]) => [code, code === "unsigned" ? 2 : 0])));
});

test("a reason is logged once in a minute, and however many there are they do not flood the log", () => {
  const { add, lines } = started();
  for (let atMs = 0; atMs < 120_000; atMs += 1_000) add("unsigned", "not signed", atMs);
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain('"code":"unsigned","reason":"not signed"');
  for (let index = 0; index < 5_000; index += 1) add("unknown_key", `signed by key '${index}'`, 120_000);
  expect(lines.length).toBeLessThan(110);
  add("unknown_key", "signed by key 'new'", 180_000);
  expect(lines.at(-1)).toContain("'new'");
});

test("/health is told for ten minutes of what was refused, but for replays, which silence nobody", () => {
  const { add, warnings } = started();
  expect(warnings(0)).toEqual([]);
  add("wrong_site", "a", 0);
  add("wrong_site", "hostile \u001B[31m", 60_000);
  add("replayed", "b", 60_000);
  expect(warnings(60_000)).toEqual([
    "messages are refused: wrong_site, 2 since this subscriber's start, the last at 1970-01-01T00:01:00.000Z; see heartbeat:rejected in Redis",
  ]);
  expect(warnings(659_999)).toHaveLength(1);
  expect(warnings(660_000)).toEqual([]);
});
