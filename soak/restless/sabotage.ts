import { send } from "./part-actions.ts";
import type { FalseAlarm } from "./books.ts";
import type { Pipeline } from "./pipeline.ts";
import { workerOf, workOn } from "./queues.ts";

export const SABOTAGES = ["stop", "kill"] as const;
export type Sabotage = (typeof SABOTAGES)[number];

/** Whose worker is sabotaged. */
export const VICTIM = "verified";
const WAITING = 200;

/** What has to be told of it, of a component by its key, and what may be told besides. */
const SYMPTOMS: Readonly<Record<Sabotage, { readonly about: string; readonly what: string }>> = {
  stop: { about: `queue:${workOn(VICTIM)}`, what: "down, queue_stalled" },
  kill: { about: `service:${workerOf(VICTIM)}`, what: "down, consumer_missing" },
};

/** Spoils the pipeline in earnest, to show that this is told. */
export async function sabotage(kind: Sabotage, pipeline: Pipeline): Promise<void> {
  const victim = pipeline.workers.find(({ queue }) => queue === VICTIM);
  if (!victim) throw new Error(`there is no worker on ${VICTIM}`);
  if (kind === "kill") return await victim.kill();
  victim.stop();
  await send(pipeline, VICTIM, WAITING, 0);
}

export interface Uncovered {
  /** Both of the heartbeats and of /health. */
  readonly isNoticed: boolean;
  /** Those that have nothing to do with it. */
  readonly others: readonly FalseAlarm[];
}

/** What became of it. */
export function uncovered(kind: Sabotage, alarms: readonly FalseAlarm[]): Uncovered {
  const { about, what } = SYMPTOMS[kind];
  const symptoms = alarms.filter((alarm) => alarm.about === about && alarm.what === what);
  const known = new Set([`queue:${workOn(VICTIM)}`, `service:${workerOf(VICTIM)}`]);
  return {
    isNoticed: ["heartbeat", "/health"].every((where) => symptoms.some((alarm) => alarm.where === where)),
    others: alarms.filter((alarm) => !known.has(alarm.about)),
  };
}
