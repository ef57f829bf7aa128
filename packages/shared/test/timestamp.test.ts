import { expect, test } from "vitest";
import { formatUpstreamTimestamp, parseUpstreamTimestamp } from "../src/timestamp.ts";

test("writes upstream's form, cut to whole seconds", () => {
  expect(formatUpstreamTimestamp(Date.UTC(2026, 10, 22, 10, 35, 6, 999))).toBe("2026-11-22 10:35:06 UTC");
});

test("reads back what it wrote", () => {
  expect(parseUpstreamTimestamp("2026-11-22 10:35:06 UTC")).toBe(Date.UTC(2026, 10, 22, 10, 35, 6));
});

test.each([
  "2026-11-22T10:35:06Z",
  "2026-11-22 10:35:06",
  "2026-11-22 10:35:06 CET",
  "2026-11-22 10:35:06 UTC ",
  "2026-02-30 10:35:06 UTC",
  "2026-13-01 10:35:06 UTC",
  "2026-11-22 25:00:00 UTC",
  "",
  undefined,
  1_795_384_934_676,
])("refuses %j", (text) => {
  expect(parseUpstreamTimestamp(text)).toBeUndefined();
});
