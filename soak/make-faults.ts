import { setTimeout as sleep } from "node:timers/promises";
import { brokerFaults } from "./faults/broker.ts";
import { connectionFaults } from "./faults/connections.ts";
import type { Fault, Made } from "./faults/fault.ts";
import { processFaults } from "./faults/processes.ts";
import { redisFaults } from "./faults/redis.ts";
import type { Running } from "./final-states.ts";
import { type Random, seededRandom } from "./random.ts";
import type { ServiceProcess } from "./service-process.ts";
import { isSettled, unsettled, within } from "./settled.ts";

const FAULTS: readonly Fault[] = [...connectionFaults, ...brokerFaults, ...redisFaults, ...processFaults];

/** How often two of them come at once. */
const BOTH_AT_ONCE = 0.3;
const RECOVER_WITHIN_MS = 40_000;
/** What belongs to a fault may be told so much after all is well again. */
const LAST_WORDS_MS = 10_000;

export interface MakeFaultsOptions extends Running {
  readonly seconds: number;
  readonly seed: number;
  /** Only faults with these words in their names. */
  readonly only: string | undefined;
  readonly tell: (line: string) => void;
}

/** Makes faults at random for so long, each only when all is well again after those before it. */
export async function makeFaults(options: MakeFaultsOptions): Promise<Made[]> {
  const { world, seconds, seed, only = "", signal } = options;
  const random = seededRandom(seed);
  const wanted = FAULTS.filter(({ name }) => name.includes(only));
  if (wanted.length === 0) throw new Error(`there is no fault with "${only}" in its name`);
  const untilMs = performance.now() + seconds * 1000;
  const made: Made[] = [];
  let bag: Fault[] = [];
  // Without one of them nothing else can be judged; at the end it is told how it ended.
  while (performance.now() < untilMs && !world.services.some(hasDied)) {
    // Each comes once before any comes twice.
    if (bag.length === 0) bag = random.shuffled(wanted);
    made.push(await makeAtOnce(draw(bag, random), random, options));
    await sleep(random.between(500, 2_500), undefined, { signal });
  }
  return made;
}

/** Takes one out, at times two: one of Redis alone and one that has nothing to do with Redis. */
function draw(bag: Fault[], random: Random): Fault[] {
  const drawn = bag.splice(-1);
  if (!random.chance(BOTH_AT_ONCE)) return drawn;
  const fits = (other: Fault) => drawn.some((one) => areApart(one, other) || areApart(other, one));
  const index = bag.findIndex(fits);
  return index === -1 ? drawn : [...drawn, ...bag.splice(index, 1)];
}

function areApart(ofRedis: Fault, other: Fault): boolean {
  return ofRedis.subjects.join() === "redis" && !other.subjects.includes("redis");
}

async function makeAtOnce(
  faults: readonly Fault[],
  random: Random,
  { world, health, signal, tell, wrong }: MakeFaultsOptions,
): Promise<Made> {
  const { whileUnknowable } = health;
  const name = faults.map((fault) => fault.name).join(" + ");
  const fromMs = Date.now();
  await Promise.all(
    faults.map((fault) => {
      // Of its own, so that it is the same whatever comes at the same time.
      const own = seededRandom(Math.floor(random.between(0, 2 ** 31)));
      const wait = (leastS: number, mostS: number) =>
        sleep(own.between(leastS, mostS) * 1000, undefined, { signal });
      return fault.make({ world, random: own, wait, whileUnknowable, wrong }).catch((error: unknown) => {
        if (!signal.aborted) wrong(`the soak could not make "${fault.name}": ${String(error)}`);
      });
    }),
  );
  signal.throwIfAborted();
  const mendedMs = performance.now();
  const isSettledAgain = await within(RECOVER_WITHIN_MS, () => isSettled(world, health), signal);
  const recoveredMs = isSettledAgain ? performance.now() - mendedMs : undefined;
  const toMs = Date.now();
  const lastedS = ((toMs - fromMs - (recoveredMs ?? RECOVER_WITHIN_MS)) / 1000).toFixed(1);
  if (recoveredMs === undefined)
    wrong(`${name}: not well again within ${RECOVER_WITHIN_MS / 1000} s (${unsettled(world, health)})`);
  else tell(`${name} (${lastedS} s): well again after ${(recoveredMs / 1000).toFixed(1)} s`);
  const windows = faults.map((fault) => ({
    fault: fault.name,
    subjects: fault.subjects,
    certain: fault.certain ?? [],
    mostOutages: fault.mostOutages ?? 1,
    fromMs,
    toMs,
    graceMs: LAST_WORDS_MS,
  }));
  return { name, windows, fromMs, toMs, recoveredMs };
}

/** Whether it has ended without having been asked to. */
function hasDied({ lifetimes }: ServiceProcess): boolean {
  const last = lifetimes.at(-1);
  return last?.ended !== undefined && last.asked === undefined;
}
