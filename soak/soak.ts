import { startBackground } from "./background.ts";
import { keepBooks } from "./books.ts";
import { checkAtEnd } from "./check-at-end.ts";
import { checkFinalStates } from "./final-states.ts";
import { startHealthWatch } from "./health-watch.ts";
import { makeFaults } from "./make-faults.ts";
import { seededRandom } from "./random.ts";
import { isSettled, within } from "./settled.ts";
import { summary } from "./summary.ts";
import type { World } from "./world.ts";

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Only faults with these words in their names. */
  readonly only: string | undefined;
  readonly say: (line: string) => void;
}

const START_WITHIN_MS = 60_000;

/** Runs the soak. True when no invariant was violated; each violation has been said. */
export async function soak(world: World, options: SoakOptions, signal: AbortSignal): Promise<boolean> {
  const startedMs = performance.now();
  const problems = new Map<string, number>();
  const tell = (line: string) =>
    options.say(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  const wrong = (problem: string) => {
    if (!problems.has(problem)) tell(`VIOLATED  ${problem}`);
    problems.set(problem, (problems.get(problem) ?? 0) + 1);
  };

  await using releases = new AsyncDisposableStack();
  for (const service of world.services) await service.start();
  const health = startHealthWatch(world, wrong);
  releases.defer(() => health.stop());
  releases.defer(keepBooks(world, health, wrong));
  if (!(await within(START_WITHIN_MS, () => isSettled(world, health), signal)))
    throw new Error("the services did not begin to work");
  tell(`all is well (${world.servers.source} servers): the faults begin`);

  const background = startBackground(world, seededRandom(options.seed + 1), signal);
  releases.defer(() => background.stop());
  const made = await makeFaults({ ...options, world, health, signal, tell, wrong });

  await background.stop();
  tell("no more faults: what is said must become the truth");
  await checkFinalStates({ world, health, signal, wrong });
  await checkAtEnd({ world, background, made, signal, wrong });
  await health.stop();
  for (const line of summary({ world, background, health, made, problems })) options.say(line);
  return problems.size === 0;
}
