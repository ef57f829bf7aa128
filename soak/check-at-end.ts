import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Background } from "./background.ts";
import type { Made } from "./faults/fault.ts";
import { doubleEvents, inventedEvents, lostChanges, untoldSpans } from "./invariants/events.ts";
import { growth } from "./invariants/memory.ts";
import { type Life, outageProblems } from "./invariants/outages.ts";
import { type Lifetime, readLog, type ServiceProcess } from "./service-process.ts";
import type { World } from "./world.ts";

const DRAINED_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 5_500;
const MOST_NAMED = 5;
const ERROR_LEVEL = 50;

export interface AtEnd {
  readonly world: World;
  readonly background: Background;
  readonly made: readonly Made[];
  readonly signal: AbortSignal;
  readonly wrong: (problem: string) => void;
}

/** What can be told only when all is over: nothing lost, nothing twice, no word of a crash. Ends the services. */
export async function checkAtEnd({ world, background, made, signal, wrong }: AtEnd): Promise<void> {
  const { watch, heard, third, services } = world;
  const several = (what: string, list: readonly string[]) => {
    const more = list.length > MOST_NAMED ? ` and ${list.length - MOST_NAMED} more` : "";
    if (list.length > 0) wrong(`${what}: ${list.slice(0, MOST_NAMED).join("; ")}${more}`);
  };
  const lostPoisons = () => [...background.poisons].filter(([id]) => !watch.quarantined.has(id));
  const lost = () => lostChanges(heard.told, watch.ages);

  if (!(await third.caughtUp(DRAINED_WITHIN_MS))) wrong("the soak could not read all that was confirmed");
  for (const untilMs = performance.now() + DRAINED_WITHIN_MS; performance.now() < untilMs;) {
    await watch.look();
    if (lost().length + lostPoisons().length === 0) break;
    await sleep(500, undefined, { signal });
  }
  several("confirmed, and lost", lost());
  several("happened, and no event tells", untold(world, made));
  const standing = watch.ages.flatMap((age) => age.standing);
  several("events that nobody told", inventedEvents(heard.told, standing, third.deaf));
  for (const age of watch.ages) several("events that are there twice", doubleEvents(age.standing));
  several(
    "poison that is not in quarantine",
    lostPoisons().map(([id, kind]) => `${kind} (${id})`),
  );
  several("in quarantine without being poison", watch.wronglyQuarantined);

  await Promise.all(services.map((service) => service.end("SIGTERM")));
  const windows = made.flatMap(({ windows }) => windows);
  for (const service of services) {
    for (const lifetime of service.lifetimes) {
      const lines = readLog(lifetime.logFile);
      writeFileSync(`${lifetime.logFile}.rss`, lifetime.rssBytes.join("\n"));
      several(lifetime.name, [
        ...endProblems(lifetime),
        ...outageProblems(lines, windows, lifeOf(service, lifetime)),
        ...memoryProblems(lifetime),
        ...lines.filter(({ level }) => level >= ERROR_LEVEL).map(({ msg }) => `logged as an error: ${msg}`),
      ]);
    }
  }
}

/** Of hosts of the publisher that was never stopped: it saw everything, and what it could not send it kept. */
function untold({ components, mortal, watch }: World, made: readonly Made[]): string[] {
  const [fromMs, toMs] = [made[0]?.fromMs ?? 0, made.at(-1)?.toMs ?? 0];
  const seen = watch.ages.flatMap((age) => age.seen);
  return components
    .filter(({ site, isHost }) => isHost && mortal.publisher.name !== `publisher-${site}`)
    .flatMap(({ site, kind, name, truths }) => {
      const spans = truths.flatMap((truth) => truth.spansBetween(fromMs, toMs));
      return untoldSpans({ site, kind, name }, spans, seen);
    });
}

function endProblems({ asked, ended, endedAtMs, askedAtMs, stderrFile }: Lifetime): string[] {
  const stderr = readFileSync(stderrFile, "utf8");
  const expected = asked === "SIGTERM" ? "exit code 0" : asked;
  const tookMs = (endedAtMs ?? 0) - (askedAtMs ?? 0);
  return [
    ...(ended === expected ? [] : [`ended with ${ended}, asked for ${asked ?? "nothing"}`]),
    ...(asked === "SIGTERM" && tookMs > STOP_WITHIN_MS ? [`took ${tookMs} ms to stop`] : []),
    ...(stderr === "" ? [] : [`said on stderr: ${stderr.slice(0, 300)}`]),
  ];
}

function memoryProblems({ rssBytes }: Lifetime): string[] {
  const grown = growth(rssBytes);
  if (!grown || grown.isFlat) return [];
  const [from, to] = [grown.secondQuarterBytes, grown.lastQuarterBytes].map((bytes) =>
    Math.round(bytes / 2 ** 20),
  );
  return [`memory is not flat: ${from} MB in its second quarter, ${to} MB in its last`];
}

function lifeOf({ proxies }: ServiceProcess, { startedAtMs, askedAtMs }: Lifetime): Life {
  const needs = Object.entries(proxies).filter(([, proxy]) => proxy !== undefined);
  return { needs: needs.map(([need]) => need), fromMs: startedAtMs, toMs: askedAtMs ?? Infinity };
}
