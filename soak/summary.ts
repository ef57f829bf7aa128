import type { Background } from "./background.ts";
import type { Made } from "./faults/fault.ts";
import type { HealthWatch } from "./health-watch.ts";
import { growth, median } from "./invariants/memory.ts";
import { readLog } from "./service-process.ts";
import type { World } from "./world.ts";

export interface Outcome {
  readonly world: World;
  readonly background: Background;
  readonly health: HealthWatch;
  readonly made: readonly Made[];
  readonly problems: ReadonlyMap<string, number>;
}

const MEBIBYTE = 2 ** 20;

/** The whole soak on one page. */
export function summary({ world, background, health, made, problems }: Outcome): string[] {
  const { watch, heard } = world;
  const kinds = [...heard.counts].map(([cause, count]) => `${count} ${cause}`).join(", ");
  const events = watch.ages.flatMap(({ standing }) => standing).length;
  return [
    "",
    "faults                                        times   well again after: min / median / max",
    ...[...Map.groupBy(made, ({ name }) => name)].map(([name, times]) => faultLine(name, times)),
    "",
    `heartbeats confirmed      ${heard.told.length} (${kinds})`,
    `  repeated by a stranger  ${background.repeated}`,
    `poison sent, quarantined  ${background.poisons.size}, ${watch.quarantined.size}`,
    `parts stopped or started  ${background.changes}`,
    `events                    ${events}`,
    `/health asked             ${health.samples} times, the slowest answer took ${health.slowestMs} ms`,
    ...world.services.flatMap(serviceLines),
    "",
    ...(problems.size === 0
      ? ["nothing was lost, nothing came twice, nothing was said that was not so"]
      : [...problems].map(([problem, count]) => `VIOLATED ${count} times: ${problem}`)),
  ];
}

function faultLine(name: string, times: readonly Made[]): string {
  const recoveredMs = times.map(({ recoveredMs }) => recoveredMs).filter((ms) => ms !== undefined);
  const [least, middle, most] =
    recoveredMs.length === 0
      ? ["never", "never", "never"]
      : [Math.min(...recoveredMs), median(recoveredMs), Math.max(...recoveredMs)].map(
          (ms) => `${(ms / 1000).toFixed(1)} s`,
        );
  return `  ${name.padEnd(44)} ${String(times.length).padStart(4)}   ${least} / ${middle} / ${most}`;
}

function serviceLines({ name, lifetimes }: World["services"][number]): string[] {
  const outages = lifetimes
    .flatMap(({ logFile }) => readLog(logFile))
    .map(({ msg }) => /^(?<subject>.+) unavailable$/.exec(msg)?.groups?.["subject"])
    .filter((subject) => subject !== undefined && !subject.endsWith(" still"));
  const counted = [...Map.groupBy(outages, (subject) => subject)].map(
    ([subject, all]) => `${subject} ${all.length}`,
  );
  const longest = lifetimes.toSorted((a, b) => b.rssBytes.length - a.rssBytes.length)[0];
  const most = Math.max(...lifetimes.flatMap(({ rssBytes }) => rssBytes));
  const grown = growth(longest?.rssBytes ?? []);
  const memory = grown
    ? `${megabytes(grown.secondQuarterBytes)} MB, at the end ${megabytes(grown.lastQuarterBytes)} MB`
    : "too short to tell";
  return [
    `${name.padEnd(25)} ${lifetimes.length} runs; outages told: ${counted.join(", ") || "none"}`,
    `  memory of the longest   ${memory}; most of all ${megabytes(most)} MB`,
  ];
}

function megabytes(bytes: number): number {
  return Math.round(bytes / MEBIBYTE);
}
