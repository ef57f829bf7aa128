// Both services under random faults for a given time: npm run soak -- --seconds 300 --seed 42
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startServers } from "./servers/servers.ts";
import { soak } from "./soak.ts";
import { startWorld } from "./world.ts";

const say = (line: string) => console.log(line);

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => interrupted.abort(new Error(`stopped by ${signal}`)));

try {
  process.exitCode = (await run(interrupted.signal)) ? 0 : 1;
} catch (error) {
  console.error(interrupted.signal.aborted ? String(interrupted.signal.reason) : error);
  process.exitCode = interrupted.signal.aborted ? 130 : 1;
}
// What a library has left under way must not keep the process.
process.exit();

async function run(signal: AbortSignal): Promise<boolean> {
  const { seconds, seed, only } = readArguments();
  say(`soaking for ${seconds} s; the same faults again: npm run soak -- --seconds ${seconds} --seed ${seed}`);
  await using releases = new AsyncDisposableStack();
  const logFolder = mkdtempSync(join(tmpdir(), "heartbeat-soak-"));
  let hasPassed = false;
  releases.defer(() => {
    if (hasPassed || signal.aborted) rmSync(logFolder, { recursive: true, force: true });
    else say(`seed ${seed}; the logs of the services are in ${logFolder}`);
  });
  buildBundles();
  const servers = await startServers(say, signal);
  releases.defer(() => servers.stop());
  const world = await startWorld(servers, logFolder, releases);
  hasPassed = await soak(world, { seconds, seed, only, say }, signal);
  return hasPassed;
}

function readArguments(): { seconds: number; seed: number; only: string | undefined } {
  const { values } = parseArgs({
    options: { seconds: { type: "string" }, seed: { type: "string" }, only: { type: "string" } },
  });
  const seconds = Number(values.seconds ?? 300);
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
  if (!(seconds > 0) || !Number.isInteger(seed))
    throw new Error("usage: npm run soak -- [--seconds 300] [--seed 42] [--only 'words of a fault']");
  return { seconds, seed, only: values.only };
}

function buildBundles(): void {
  const script = fileURLToPath(new URL("../tools/build.ts", import.meta.url));
  const { status } = spawnSync(process.execPath, [script], { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error("the bundles could not be built");
}
