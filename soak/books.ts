import { setTimeout as sleep } from "node:timers/promises";
import { askHealth, type Health } from "../demo/health.ts";
import type { HealthWatch } from "./health-watch.ts";
import { SITES } from "./sites.ts";
import type { World } from "./world.ts";

/** The promise is a second. */
const SILENCE_WRITTEN_MS = 2_500;
const EVERY_MS = 1_000;

/** Notes the memory, and reads along in Redis, once a second. Returns what ends it. */
export function keepBooks(
  world: World,
  health: HealthWatch,
  wrong: (problem: string) => void,
): () => Promise<void> {
  const stopping = new AbortController();
  async function keep(): Promise<void> {
    while (!stopping.signal.aborted) {
      await Promise.all(world.services.map((service) => service.sampleMemory()));
      await world.watch.look();
      await checkReader(world, health, wrong).catch(() => {}); // Redis is away
      await sleep(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {}); // stopped
    }
  }
  const keeping = keep();
  return async () => {
    stopping.abort();
    await keeping;
  };
}

/** Whatever is wrong, the old reader gets one answer, and nothing is well in a site that is known to be silent. */
async function checkReader(
  { subscribers, watch, components }: World,
  health: HealthWatch,
  wrong: (problem: string) => void,
): Promise<void> {
  const silentBefore = knownSilent(subscribers.map((subscriber) => health.last.get(subscriber)));
  const { answer, isCertain } = await watch.askReader();
  if (!isCertain) wrong("the old reader's answer depends on the order of the keys");
  const askedAgain = await Promise.all(subscribers.map(({ url }) => askHealth(`${url}/health`)));
  const silent = new Set(knownSilent(askedAgain).filter((site) => silentBefore.includes(site)));
  for (const { site, kind, name } of components) {
    const told = (kind === "service" ? answer.services : answer.queues)[name];
    if (silent.has(site) && told !== "NOT_OK")
      wrong(`the old reader says ${told ?? "nothing"} of ${kind} ${name} while site ${site} is silent`);
  }
}

/** Sites that all subscribers that answer know to be silent, for longer than it takes to write that. */
function knownSilent(asked: readonly (Health | undefined)[]): string[] {
  const answers = asked.filter((answer) => answer !== undefined);
  return SITES.filter((name) => {
    return (
      answers.length > 0 &&
      answers.every(({ sites }) => sites.some((site) => site.site === name && isSilent(site)))
    );
  });
}

function isSilent({ state, cause = "", deadline }: Health["sites"][number]): boolean {
  const isKnown = state === "silent" && ["publisher_silent", "goodbye"].includes(cause);
  return isKnown && Date.parse(deadline) < Date.now() - SILENCE_WRITTEN_MS;
}
