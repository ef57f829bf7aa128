// A restless but healthy pipeline, in which every alarm is a false one: npm run soak:restless -- --seconds 3600
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Sabotage, SABOTAGES, VICTIM } from "./sabotage.ts";
import { type Result, soakRestless } from "./soak.ts";

const say = (line: string) => console.log(line);

/** A sabotage that is told is an alarm, too: only that nothing is told of it is something else. */
const EXIT_CODES: Readonly<Record<Result, number>> = {
  "no false alarm": 0,
  "false alarms": 1,
  "sabotage told": 1,
  "nothing tested": 2,
  "sabotage not told": 2,
};

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => interrupted.abort(new Error(`stopped by ${signal}`)));

try {
  process.exitCode = EXIT_CODES[await run(interrupted.signal)];
} catch (error) {
  console.error(interrupted.signal.aborted ? String(interrupted.signal.reason) : error);
  process.exitCode = interrupted.signal.aborted ? 130 : 3;
}
// What a library has left under way must not keep the process.
process.exit();

async function run(signal: AbortSignal): Promise<Result> {
  const { seconds, seed, sabotage } = readArguments();
  say(
    `restless for ${seconds} s; the same again: npm run soak:restless -- --seconds ${seconds} --seed ${seed}`,
  );
  buildBundles();
  const logFolder = mkdtempSync(join(tmpdir(), "heartbeat-restless-"));
  let result: Result | undefined;
  try {
    result = await soakRestless({ seconds, seed, sabotage, logFolder, say }, signal);
  } finally {
    if (result === "no false alarm" || result === "sabotage told" || signal.aborted)
      rmSync(logFolder, { recursive: true, force: true });
    else say(`seed ${seed}; the logs of the services are in ${logFolder}`);
  }
  say(inWords(result, sabotage));
  return result;
}

function inWords(result: Result, sabotage: Sabotage | undefined): string {
  const deed = `the sabotage (${sabotage}) of the worker on ${VICTIM}`;
  const others = sabotage ? ": there were alarms that have nothing to do with the sabotage" : "";
  const words: Readonly<Record<Result, string>> = {
    "no false alarm": "PASSED: failures were seen, and there was no false alarm",
    "false alarms": `FAILED${others}`,
    "nothing tested": "FAILED: no failure was seen that was not to be believed, so nothing was tested",
    "sabotage told": `as it should be: ${deed} was told, and nothing else`,
    "sabotage not told": `FAILED: ${deed} was not told`,
  };
  return words[result];
}

function readArguments(): { seconds: number; seed: number; sabotage: Sabotage | undefined } {
  const { values } = parseArgs({
    options: { seconds: { type: "string" }, seed: { type: "string" }, sabotage: { type: "string" } },
  });
  const seconds = Number(values.seconds ?? 3_600);
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
  const sabotage = SABOTAGES.find((one) => one === values.sabotage);
  if (!(seconds > 0) || !Number.isInteger(seed) || sabotage !== values.sabotage)
    throw new Error(
      `usage: npm run soak:restless -- [--seconds 3600] [--seed 42] [--sabotage ${SABOTAGES.join("|")}]`,
    );
  return { seconds, seed, sabotage };
}

function buildBundles(): void {
  const script = fileURLToPath(new URL("../../tools/build.ts", import.meta.url));
  const { status } = spawnSync(process.execPath, [script], { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error("the bundles could not be built");
}
