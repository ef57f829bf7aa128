import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const MODULE = fileURLToPath(new URL("../src/spare-memory.ts", import.meta.url));
const MEBIBYTE = 1024 * 1024;

/** Takes much, lets go of it, and tells when half of it has been given back, or 8 s are over. */
const FLOOD = `
  import { setTimeout as sleep } from "node:timers/promises";
  import { spareMemory } from ${JSON.stringify(MODULE)};
  spareMemory(200);
  const before = process.memoryUsage.rss();
  const text = JSON.stringify(Array.from({ length: 20_000 }, (_, at) => ({ name: "c" + at, at })));
  let kept = [];
  for (let round = 0; round < 80; round += 1) {
    kept.push(JSON.parse(text));
    await new Promise(setImmediate);
  }
  kept = [];
  const most = process.resourceUsage().maxRSS * 1024;
  for (let rest = 80; rest > 0 && process.memoryUsage.rss() > (before + most) / 2; rest -= 1) await sleep(100);
  console.log(JSON.stringify({ before, most, after: process.memoryUsage.rss() }));`;

test("what a flood has taken of the memory is given back", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", FLOOD], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const { before, most, after }: Record<"before" | "most" | "after", number> = JSON.parse(
    await text(child.stdout),
  );
  expect(most - before).toBeGreaterThan(80 * MEBIBYTE);
  expect(after).toBeLessThan((before + most) / 2);
}, 20_000);
