import { setTimeout as sleep } from "node:timers/promises";
import { type Action, MINUTE_MS, SECOND_MS } from "./actions.ts";
import type { Books } from "./books.ts";
import type { HealthWatch } from "./watch-health.ts";
import { type Random, seededRandom } from "../random.ts";
import { partActions } from "./part-actions.ts";
import type { Pipeline } from "./pipeline.ts";
import { serviceActions } from "./service-actions.ts";

/** So long one subject is left alone after it: what comes and goes more often counts as flapping. */
const SUBJECT_RESTS_MS = MINUTE_MS;
const PAUSE_MS = [500, 4_000] as const;

export interface RestlessOptions {
  readonly pipeline: Pipeline;
  readonly books: Books;
  readonly health: HealthWatch;
  readonly seed: number;
  readonly tell: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface Restlessness {
  /** How often each action was done. */
  readonly counts: ReadonlyMap<string, number>;
  /** What could not be done. */
  readonly failed: readonly string[];
  /** Acts until then, by performance.now(). */
  actUntil(untilMs: number): Promise<void>;
  /** From now on leaves this subject alone, and whatever would make anybody forget what becomes of it. */
  spare(subject: string): void;
}

/** Does one harmless thing after another. */
export function restlessness({ pipeline, books, health, seed, tell, signal }: RestlessOptions): Restlessness {
  const random = seededRandom(seed);
  const counts = new Map<string, number>();
  const failed: string[] = [];
  /** When each subject and each action may be taken again, by performance.now(). */
  const restsUntilMs = new Map<string, number>();
  let actions = [...partActions(pipeline), ...serviceActions()];
  let bag: Action[] = random.shuffled(actions);
  const wait = (ms: number) => sleep(ms, undefined, { signal });

  function isRested({ name, subject }: Action): boolean {
    return [`action ${name}`, subject].every((key) => (restsUntilMs.get(key) ?? 0) <= performance.now());
  }

  /** Each comes once before any comes twice, as far as they have rested. */
  function draw(): Action | undefined {
    const drawn = bag.find(isRested) ?? actions.find(isRested);
    bag = bag.filter((action) => action !== drawn);
    if (bag.length === 0) bag = random.shuffled(actions);
    return drawn;
  }

  async function act(action: Action, by: Random): Promise<void> {
    const { name, subject, restMs } = action;
    books.did(`${name}: ${subject}`);
    tell(`${name}: ${subject}`);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    try {
      await action.make({ pipeline, books, health, random: by, wait });
    } catch (error) {
      signal.throwIfAborted();
      // It may be half done. Whatever comes of that is told, and this stands beside it.
      books.did(`which failed: ${String(error)}`);
      tell(`  which failed: ${String(error)}`);
      failed.push(`${name}: ${subject}: ${String(error)}`);
    }
    restsUntilMs.set(subject, performance.now() + SUBJECT_RESTS_MS);
    restsUntilMs.set(`action ${name}`, performance.now() + restMs);
  }

  return {
    counts,
    failed,
    async actUntil(untilMs) {
      while (performance.now() < untilMs && !signal.aborted) {
        const action = draw();
        // Of its own, so that it is the same however many numbers the others have taken.
        const by = seededRandom(Math.floor(random.between(0, 2 ** 31)));
        if (action) await act(action, by);
        await wait(
          Math.min(random.between(...PAUSE_MS), Math.max(0, untilMs - performance.now()) + SECOND_MS),
        );
      }
    },
    spare(subject) {
      actions = actions.filter((action) => action.subject !== subject && !action.isForgetful);
      bag = bag.filter((action) => actions.includes(action));
    },
  };
}
