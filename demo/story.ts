import { setTimeout as sleep } from "node:timers/promises";
import { printable } from "../packages/shared/src/printable.ts";
import { askHealth, type Health } from "./health.ts";
import type { Part } from "./parts.ts";
import type { Service, Settings } from "./services.ts";

/** How long the management API may lag behind, and what a slow machine may add. */
const STATISTICS_LAG_S = 6;
const SLACK_S = 5;
const POLL_MS = 50;

export interface Cast {
  readonly url: string;
  readonly worker: Part;
  readonly publisher: Service;
  readonly settings: Settings;
  readonly say: (line: string) => void;
}

/** Plays the main job as a story. True when every step came true in its time. */
export async function playStory(cast: Cast, signal: AbortSignal): Promise<boolean> {
  const { worker, publisher, settings, say } = cast;
  const { probeIntervalS, publishIntervalS } = settings;
  const seenByLooks = 2 * probeIntervalS + STATISTICS_LAG_S;
  const startedMs = performance.now();
  const tell = (line: string) =>
    say(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}`);

  async function expect(what: string, withinS: number, isTrue: (health: Health) => boolean): Promise<void> {
    const beganMs = performance.now();
    let last: Health | undefined;
    while (performance.now() - beganMs < (withinS + SLACK_S) * 1000) {
      signal.throwIfAborted();
      last = await askHealth(cast.url);
      if (last && isTrue(last)) {
        tell(
          `/health answers ${last.code}: ${printable(last.problems.join("; ")) || "every component is up and fresh"}`,
        );
        tell(`  came true: ${what}, after ${((performance.now() - beganMs) / 1000).toFixed(1)} s`);
        return;
      }
      await sleep(POLL_MS, undefined, { signal });
    }
    throw new StoryError(
      `did not come true within ${withinS + SLACK_S} s: ${what}. The last answer: ${JSON.stringify(last)}`,
    );
  }

  try {
    tell("the pipeline, the publisher and the subscriber are running");
    await expect("all components are up: 200", seenByLooks + 10, isAllUp);
    await worker.stop();
    tell(`the worker ${worker.name} dies`);
    await expect(
      `503, and it names ${worker.name}`,
      seenByLooks,
      (health) => health.code === 503 && names(health, worker.name),
    );
    await worker.start();
    tell(`the worker ${worker.name} returns`);
    await expect("200 again", probeIntervalS + STATISTICS_LAG_S, isAllUp);
    await publisher.kill();
    tell("the publisher is killed");
    await expect("503, the site is silent", 2.5 * publishIntervalS, isSilent);
    tell("the story is told: every step came true");
    return true;
  } catch (error) {
    if (!(error instanceof StoryError)) throw error;
    tell(error.message);
    tell(`the publisher's log ends with:\n${publisher.logTail()}`);
    return false;
  }
}

class StoryError extends Error {}

function isAllUp({ code, sites }: Health): boolean {
  const components = sites.flatMap((site) => site.components);
  return code === 200 && components.length > 0 && components.every(({ state }) => state === "up");
}

function names({ problems }: Health, name: string): boolean {
  return problems.some((problem) => problem.startsWith(`service ${name} `) && problem.includes("is down"));
}

function isSilent({ code, sites }: Health): boolean {
  return code === 503 && sites.length > 0 && sites.every(({ state }) => state === "silent");
}
