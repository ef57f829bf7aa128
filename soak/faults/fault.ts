import type { OutageWindow } from "../invariants/outages.ts";
import type { Random } from "../random.ts";
import type { ServiceProcess } from "../service-process.ts";
import type { World } from "../world.ts";

/** What a fault may use. */
export interface Making {
  readonly world: World;
  readonly random: Random;
  /** Some time between the two, in seconds. Rejects when the soak is called off. */
  wait(leastS: number, mostS: number): Promise<void>;
  /** While `work` goes on, but for its first two seconds, these must not say that all is well. */
  whileUnknowable(subscribers: readonly ServiceProcess[], work: () => Promise<void>): Promise<void>;
  /** Something that the fault itself has seen to be wrong. */
  wrong(problem: string): void;
}

export interface Fault {
  readonly name: string;
  /** What may be told as away for it, in the words of the log; each at most once by each service, or `mostOutages` times. */
  readonly subjects: readonly string[];
  readonly mostOutages?: number;
  /** Of these, what must be told, by each service that needs it; nothing when it is not given. */
  readonly certain?: readonly string[];
  /** Makes it, keeps it up for some time, and mends it. */
  make(making: Making): Promise<void>;
}

/** Faults that were made at the same time, and how long all took afterwards to be well again; undefined when it was not. */
export interface Made {
  readonly name: string;
  /** One for each fault. */
  readonly windows: readonly OutageWindow[];
  readonly fromMs: number;
  readonly toMs: number;
  readonly recoveredMs: number | undefined;
}

/** One of them or all of them. */
export function someOf(random: Random, services: readonly ServiceProcess[]): readonly ServiceProcess[] {
  return random.chance(0.5) ? services : [random.oneOf(services)];
}
