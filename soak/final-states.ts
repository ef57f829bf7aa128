import type { HealthWatch } from "./health-watch.ts";
import { isTruth } from "./invariants/health.ts";
import { within } from "./settled.ts";
import type { World } from "./world.ts";

const TRUTH_WITHIN_MS = 60_000;

/** A soak that is going on. */
export interface Running {
  readonly world: World;
  readonly health: HealthWatch;
  readonly signal: AbortSignal;
  readonly wrong: (problem: string) => void;
}

/** First with some parts down, as chance left them, then with all of them up. */
export async function checkFinalStates({ world, health, signal, wrong }: Running): Promise<void> {
  await reachTruth("as the faults left it");
  for (const part of world.parts) await part.start();
  await reachTruth("with all parts up");

  async function reachTruth(when: string): Promise<void> {
    const isAllUp = world.parts.every(({ isWanted }) => isWanted);
    const isReached = await within(
      TRUTH_WITHIN_MS,
      async () => {
        const answers = world.subscribers.map((subscriber) => health.last.get(subscriber));
        const areTrue = answers.every((answer) => answer && isTruth(answer, world.components));
        return areTrue && answers.every((answer) => (answer?.code === 200) === isAllUp);
      },
      signal,
    );
    if (!isReached) wrong(`/health does not tell the truth ${when} within ${TRUTH_WITHIN_MS / 1000} s`);
    const { answer, isCertain } = await world.watch.askReader();
    if (!isCertain) wrong(`the old reader's answer ${when} depends on the order of the keys`);
    if ((answer.http === 200) !== isAllUp) wrong(`the old reader says ${answer.http} ${when}`);
  }
}
