import { pino } from "pino";
import { expect, test } from "vitest";
import { outageLog } from "../src/outage.ts";

/** What is logged at info and above, as `level cause`. */
function recorder() {
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(brief(line)) });
  return { lines, log };
}

function brief(line: string): string {
  const { level, msg, cause, outageMs }: Record<string, string | number | undefined> = JSON.parse(line);
  return [level === 40 ? "warn" : "info", msg, cause, outageMs]
    .filter((part) => part !== undefined)
    .join(" | ");
}

test("an outage is one warning, however often it fails, and one line when it is over", () => {
  const { lines, log } = recorder();
  let nowMs = 1_000;
  const outage = outageLog("broker", log, () => nowMs);
  outage.recovered();
  for (let attempt = 0; attempt < 100; attempt += 1) outage.failed("connection refused");
  nowMs = 4_000;
  outage.recovered();
  outage.recovered();
  outage.failed("connection refused");
  expect(lines).toEqual([
    "warn | broker unavailable | connection refused",
    "info | broker available again | 3000",
    "warn | broker unavailable | connection refused",
  ]);
});

test("another cause within the outage is told, but not without end", () => {
  const { lines, log } = recorder();
  const outage = outageLog("broker", log);
  for (let cause = 0; cause < 100; cause += 1) outage.failed(`cause ${cause}`);
  expect(lines[0]).toBe("warn | broker unavailable | cause 0");
  expect(lines.slice(1)).toEqual(
    [1, 2, 3, 4].map((cause) => `info | broker still unavailable | cause ${cause}`),
  );
});
