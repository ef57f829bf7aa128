import { readFileSync } from "node:fs";
import type { ServiceProcess } from "../service-process.ts";
import type { Books, FalseAlarm } from "./books.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Restlessness } from "./restless.ts";

export interface Outcome {
  readonly books: Books;
  readonly restless: Restlessness;
  readonly failures: ReadonlyMap<string, number>;
  readonly pipeline: Pipeline;
}

/** The whole soak on one page. */
export function summary({ books, restless, failures, pipeline }: Outcome): string[] {
  const { alarms, excused } = books;
  const { probeIntervalS, publishIntervalS, stalledAfterS } = pipeline.timing;
  return [
    "",
    "what was done                                           times",
    ...counted(restless.counts),
    ...restless.failed.map((problem) => `  COULD NOT BE DONE  ${problem}`),
    "",
    "failures that were seen, and rightly not believed       times",
    ...counted(failures),
    "",
    "what need not be known while                            times it was said",
    ...(excused.size > 0 ? counted(excused) : ["  never"]),
    "",
    `looked every ${probeIntervalS} s, a heartbeat every ${publishIntervalS} s, stalled after ${stalledAfterS} s`,
    `heartbeats heard  ${books.heartbeats}`,
    `/health asked     ${books.answers} times`,
    `publisher         ${pipeline.publisher.lifetimes.length} runs`,
    `subscriber        ${pipeline.subscriber.lifetimes.length} runs`,
    "",
    ...(alarms.length === 0 ? ["no false alarm"] : [`${alarms.length} alarms`]),
    ...alarms.flatMap(alarmLines),
  ];
}

function counted(counts: ReadonlyMap<string, number>): string[] {
  return [...counts]
    .toSorted(([one], [other]) => one.localeCompare(other))
    .map(([name, count]) => `  ${name.padEnd(52)} ${String(count).padStart(5)}`);
}

/** When, of what, and what had been done before. */
export function alarmLines({
  where,
  about,
  what,
  detail,
  fromMs,
  toMs,
  times,
  before,
}: FalseAlarm): string[] {
  const lasted = times > 1 ? `, ${times} times in ${((toMs - fromMs) / 1000).toFixed(1)} s` : "";
  return [
    `ALARM  ${new Date(fromMs).toISOString()}  ${where} says of ${about}: ${what}${lasted}`,
    ...(detail === undefined ? [] : [`         ${detail}`]),
    ...before.map(
      ({ atMs, what }) => `         ${((fromMs - atMs) / 1000).toFixed(1).padStart(6)} s after  ${what}`,
    ),
  ];
}

interface Doubt {
  readonly time: number;
  readonly kind: string;
  readonly component: string;
  readonly reason?: string;
}

/** By component and reason: how often since then (unix milliseconds) a look failed that was not believed at once. */
export function disbelieved({ lifetimes }: ServiceProcess, sinceMs: number): ReadonlyMap<string, number> {
  const found = lifetimes
    .flatMap(({ logFile }) => readFileSync(logFile, "utf8").split("\n"))
    .filter((line) => line.includes('"failure not believed yet"'))
    .map((line): Doubt => JSON.parse(line))
    .filter(({ time }) => time >= sinceMs)
    .map(({ kind, component, reason = "" }) => `${kind}:${component}, ${reason}`);
  return new Map([...Map.groupBy(found, (key) => key)].map(([key, all]) => [key, all.length]));
}
