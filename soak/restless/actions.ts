import type { Books } from "./books.ts";
import type { HealthWatch } from "./watch-health.ts";
import type { Random } from "../random.ts";
import type { Pipeline } from "./pipeline.ts";

/** What an action may use. */
export interface Acting {
  readonly pipeline: Pipeline;
  readonly books: Books;
  readonly health: HealthWatch;
  readonly random: Random;
  /** Rejects when the soak is called off. */
  readonly wait: (ms: number) => Promise<void>;
}

/** Something harmless that is done to the pipeline: what it takes away is back before that may be believed. */
export interface Action {
  readonly name: string;
  /** What it is done to: two actions with the same one have some time between them, so that nothing flaps. */
  readonly subject: string;
  /** Between two of it, whatever the subject; 0 where the subject's own rest is enough. */
  readonly restMs: number;
  /** The broker or the publisher forgets by it how long something has gone on: not after a sabotage. */
  readonly isForgetful?: boolean;
  make(acting: Acting): Promise<void>;
}

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
