import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { withProgress } from "./progress.ts";

test("work says how long it has been going on from the first second on, and nothing when it is done", async () => {
  const said: string[] = [];
  const done = await withProgress(
    "waiting",
    (line) => said.push(line),
    async () => {
      await expect.poll(() => said, { timeout: 5_000 }).toEqual(["waiting … 1 s"]);
      return "done";
    },
  );
  expect(done).toBe("done");
  await withProgress(
    "being quick",
    (line) => said.push(line),
    async () => sleep(1),
  );
  expect(said).toEqual(["waiting … 1 s"]);
});
