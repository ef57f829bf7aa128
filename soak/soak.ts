import { setTimeout as sleep } from "node:timers/promises";
import { startBackground } from "./background.ts";
import { keepBooks } from "./books.ts";
import { brokerFaults } from "./faults/broker.ts";
import { connectionFaults } from "./faults/connections.ts";
import { both, type Fault, type Made } from "./faults/fault.ts";
import { processFaults } from "./faults/processes.ts";
import { redisFaults } from "./faults/redis.ts";
import { checkAtEnd } from "./check-at-end.ts";
import { startHealthWatch } from "./health-watch.ts";
import { checkFinalStates, type Running } from "./final-states.ts";
import { type Random, seededRandom } from "./random.ts";
import type { ServiceProcess } from "./service-process.ts";
import { isSettled, unsettled, within } from "./settled.ts";
import { summary } from "./summary.ts";
import type { World } from "./world.ts";

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Only faults with these words in their names. */
  readonly only: string | undefined;
  readonly say: (line: string) => void;
}

const FAULTS: readonly Fault[] = [...connectionFaults, ...brokerFaults, ...redisFaults, ...processFaults];

/** How often two faults come at once. */
const BOTH_AT_ONCE = 0.3;
const START_WITHIN_MS = 60_000;
const RECOVER_WITHIN_MS = 40_000;
/** What belongs to a fault may be told so much after all is well again. */
const LAST_WORDS_MS = 10_000;

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
  const made = await makeFaults({ world, health, options, signal, tell, wrong });

  await background.stop();
  tell("no more faults: what is said must become the truth");
  await checkFinalStates({ world, health, signal, wrong });
  await checkAtEnd({ world, background, made, signal, wrong });
  await health.stop();
  for (const line of summary({ world, background, health, made, problems })) options.say(line);
  return problems.size === 0;
}

async function makeFaults({
  world,
  health,
  options,
  signal,
  tell,
  wrong,
}: Running & { options: SoakOptions; tell: (line: string) => void }): Promise<Made[]> {
  const random = seededRandom(options.seed);
  const wanted = FAULTS.filter(({ name }) => name.includes(options.only ?? ""));
  const untilMs = performance.now() + options.seconds * 1000;
  const made: Made[] = [];
  let bag: Fault[] = [];
  // Without one of them nothing else can be judged; at the end it is told how it ended.
  while (performance.now() < untilMs && !world.services.some(hasDied)) {
    // Each comes once before any comes twice.
    if (bag.length === 0) bag = random.shuffled(wanted);
    const drawn = bag.pop();
    if (!drawn) throw new Error(`there is no fault with "${options.only}" in its name`);
    const fault = perhapsWithAnother(drawn, bag, random);
    const fromMs = Date.now();
    await fault
      .make({
        world,
        random,
        wrong,
        wait: (leastS, mostS) => sleep(random.between(leastS, mostS) * 1000, undefined, { signal }),
        whileUnknowable: health.whileUnknowable,
      })
      .catch((error: unknown) => {
        signal.throwIfAborted();
        wrong(`the soak could not make "${fault.name}": ${String(error)}`);
      });
    const mendedMs = performance.now();
    const isSettledAgain = await within(RECOVER_WITHIN_MS, () => isSettled(world, health), signal);
    const recoveredMs = isSettledAgain ? performance.now() - mendedMs : undefined;
    const lastedS = ((Date.now() - fromMs - (recoveredMs ?? RECOVER_WITHIN_MS)) / 1000).toFixed(1);
    if (recoveredMs === undefined)
      wrong(
        `${fault.name}: not well again within ${RECOVER_WITHIN_MS / 1000} s (${unsettled(world, health)})`,
      );
    else tell(`${fault.name} (${lastedS} s): well again after ${(recoveredMs / 1000).toFixed(1)} s`);
    made.push({
      fault,
      window: {
        fault: fault.name,
        subjects: fault.subjects,
        certain: fault.certain ?? [],
        mostOutages: fault.mostOutages ?? 1,
        fromMs,
        toMs: Date.now(),
        graceMs: LAST_WORDS_MS,
      },
      recoveredMs,
    });
    await sleep(random.between(500, 2_500), undefined, { signal });
  }
  return made;
}

/** At times one of Redis alone comes together with one that has nothing to do with Redis. */
function perhapsWithAnother(fault: Fault, bag: Fault[], random: Random): Fault {
  const index = random.chance(BOTH_AT_ONCE)
    ? bag.findIndex((candidate) => canComeAtOnce(fault, candidate) || canComeAtOnce(candidate, fault))
    : -1;
  const [other] = index === -1 ? [] : bag.splice(index, 1);
  return other ? both(fault, other) : fault;
}

function canComeAtOnce(ofRedis: Fault, other: Fault): boolean {
  return ofRedis.subjects.join() === "redis" && !other.subjects.includes("redis");
}

/** Whether it has ended without having been asked to. */
function hasDied({ lifetimes }: ServiceProcess): boolean {
  const last = lifetimes.at(-1);
  return last?.ended !== undefined && last.asked === undefined;
}
