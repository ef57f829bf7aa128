import { setTimeout as sleep } from "node:timers/promises";
import { type Books, keepBooks } from "./books.ts";
import { type Pipeline, startPipeline, type Timing } from "./pipeline.ts";
import { QUEUES, workerOf } from "./queues.ts";
import { restlessness } from "./restless.ts";
import { type Sabotage, sabotage, uncovered, VICTIM } from "./sabotage.ts";
import { alarmLines, disbelieved, summary } from "./summary.ts";
import { type HealthWatch, watchHealth } from "./watch-health.ts";

export interface RestlessSoakOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly sabotage: Sabotage | undefined;
  readonly logFolder: string;
  readonly say: (line: string) => void;
}

export type Result =
  | "no false alarm"
  | "false alarms"
  | "nothing tested"
  | "sabotage told"
  | "sabotage not told";

const START_WITHIN_MS = 90_000;
const WORKED_OFF_WITHIN_MS = 60_000;
const POLL_MS = 200;
/** What has just been done may be told so much later: the longest pause and an interval. */
const LAST_WORDS_MS = 20_000;
/** For a shorter soak all goes by faster. */
const SHORT_S = 300;
const USUAL: Timing = { probeIntervalS: 10, publishIntervalS: 10, stalledAfterS: 60 };
const HASTY: Timing = { probeIntervalS: 5, publishIntervalS: 5, stalledAfterS: 30 };

/** Runs it, and says on one page what came of it. */
export async function soakRestless(options: RestlessSoakOptions, signal: AbortSignal): Promise<Result> {
  const { seconds, seed, logFolder, say } = options;
  const startedMs = performance.now();
  const tell = (line: string) =>
    say(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  const timing = seconds < SHORT_S ? HASTY : USUAL;
  await using releases = new AsyncDisposableStack();
  const books = keepBooks((alarm) => {
    for (const line of alarmLines(alarm)) tell(line);
  });
  const pipeline = await startPipeline({ timing, logFolder, say }, books, releases, signal);
  const health = watchHealth(pipeline.subscriber.url);
  releases.defer(() => health.stop());
  await pipeline.subscriber.start();
  await pipeline.publisher.start();
  await greenWithin(START_WITHIN_MS, health, signal);
  tell("all is well, and restlessness begins");
  books.open();
  health.judge(books);
  const beganMs = Date.now();

  const restless = restlessness({ pipeline, books, health, seed, tell, signal });
  const untilMs = performance.now() + seconds * 1000;
  if (options.sabotage === undefined) {
    await restless.actUntil(untilMs);
    await sleep(LAST_WORDS_MS, undefined, { signal });
    await workedOff(pipeline, signal);
  } else {
    await restless.actUntil(performance.now() + (seconds * 1000) / 2);
    restless.spare(workerOf(VICTIM));
    restless.spare(`messages in ${VICTIM}`);
    const before = books.alarms.length;
    books.did(`sabotage: ${options.sabotage} of ${workerOf(VICTIM)}`);
    tell(`SABOTAGE  ${options.sabotage} of ${workerOf(VICTIM)}`);
    await sabotage(options.sabotage, pipeline);
    await restless.actUntil(untilMs);
    if (before > 0) tell("there were alarms before the sabotage");
  }
  await health.stop();
  const failures = disbelieved(pipeline.publisher, beganMs);
  for (const line of summary({ books, restless, failures, pipeline })) say(line);
  return resultOf(options.sabotage, books, failures.size);
}

function resultOf(kind: Sabotage | undefined, { alarms }: Books, failures: number): Result {
  if (kind !== undefined) {
    const { isNoticed, others } = uncovered(kind, alarms);
    if (!isNoticed) return "sabotage not told";
    return others.length > 0 ? "false alarms" : "sabotage told";
  }
  if (alarms.length > 0) return "false alarms";
  return failures > 0 ? "no false alarm" : "nothing tested";
}

async function greenWithin(ms: number, health: HealthWatch, signal: AbortSignal): Promise<void> {
  for (const untilMs = performance.now() + ms; health.last?.code !== 200;) {
    if (performance.now() > untilMs) {
      const { code, problems, sites } = health.last ?? {};
      const bad = sites?.flatMap(({ components }) => components.filter(({ state }) => state !== "up"));
      throw new Error(`/health did not become green: ${JSON.stringify({ code, problems, bad })}`);
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** Otherwise the pipeline was not well, and an alarm would have been right. */
async function workedOff({ third }: Pipeline, signal: AbortSignal): Promise<void> {
  const queues = QUEUES.filter(({ type }) => type !== "stream");
  for (const untilMs = performance.now() + WORKED_OFF_WITHIN_MS; ;) {
    const depths = await third.withChannel((channel) =>
      Promise.all(queues.map(({ name }) => channel.checkQueue(name))),
    );
    const left = depths.filter(({ messageCount }) => messageCount > 0);
    if (left.length === 0) return;
    if (performance.now() > untilMs) throw new Error(`not worked off: ${JSON.stringify(left)}`);
    await sleep(POLL_MS, undefined, { signal });
  }
}
