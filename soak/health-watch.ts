import { setTimeout as sleep } from "node:timers/promises";
import { askHealth, type Health } from "../demo/health.ts";
import { healthProblems } from "./invariants/health.ts";
import type { ServiceProcess } from "./service-process.ts";
import { TOLD_FOR_S } from "./sites.ts";
import type { World } from "./world.ts";

const EVERY_MS = 250;
/** The promise is two seconds; the rest is for a machine that has other things to do. */
const ANSWER_WITHIN_MS = 2_500;
/** So soon after what was known became unknowable that is to be told. */
const TOLD_WITHIN_MS = 2_500;

/** What another queue gets at the same time is heard so much later at most. */
const HEARD_WITHIN_MS = 2_000;

interface Times {
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
}

/** A site was told to be fresh, and no news of it was heard that had been sent in this time. */
interface Doubt {
  /** The subscriber's. */
  readonly name: string;
  readonly site: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface HealthWatch {
  /** The last answer of each subscriber; undefined while it gives none. */
  readonly last: ReadonlyMap<ServiceProcess, Health | undefined>;
  readonly samples: number;
  readonly slowestMs: number;
  whileUnknowable(subscribers: readonly ServiceProcess[], work: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/** Asks each subscriber four times a second whether all is well, and says what is wrong with the answers. */
export function startHealthWatch(world: World, wrong: (problem: string) => void): HealthWatch {
  const stopping = new AbortController();
  const last = new Map<ServiceProcess, Health | undefined>();
  /** In the order of their times. */
  const doubts: Doubt[] = [];
  const unknowableSince = new Map<ServiceProcess, number>();
  let samples = 0;
  let slowestMs = 0;

  async function askOnce(subscriber: ServiceProcess): Promise<void> {
    const askedAtMs = Date.now();
    const sinceMs = unknowableSince.get(subscriber);
    const lifetime = subscriber.lifetimes.at(-1);
    const health = await askHealth(`${subscriber.url}/health`);
    const answeredAtMs = Date.now();
    last.set(subscriber, health);
    const tookMs = answeredAtMs - askedAtMs;
    if (tookMs > ANSWER_WITHIN_MS && lifetime?.asked === undefined)
      wrong(`${subscriber.name}: no answer at /health within ${ANSWER_WITHIN_MS} ms (${tookMs} ms)`);
    if (!health) return;
    samples += 1;
    slowestMs = Math.max(slowestMs, tookMs);
    for (const problem of healthProblems({ askedAtMs, answeredAtMs, health }, world.components))
      wrong(`${subscriber.name}: ${problem}`);
    doubts.push(...doubtsIn(subscriber, health, { askedAtMs, answeredAtMs }));
    settleDoubts(answeredAtMs);
    const isStillUnknowable = sinceMs !== undefined && unknowableSince.get(subscriber) === sinceMs;
    const isTold = health.code !== 200 && health.problems.some((problem) => problem.includes("Redis"));
    if (!isTold && isStillUnknowable && askedAtMs - sinceMs > TOLD_WITHIN_MS)
      wrong(`${subscriber.name}: does not tell that Redis failed more than ${TOLD_WITHIN_MS} ms ago`);
  }

  /** A site of which nothing was confirmed for so long is not fresh. */
  function doubtsIn({ name }: ServiceProcess, { sites }: Health, answer: Times): Doubt[] {
    const [fromMs, toMs] = [answer.askedAtMs - TOLD_FOR_S * 1000, answer.answeredAtMs];
    return sites
      .filter(({ site, state }) => state === "fresh" && !world.heard.hasNews(site, fromMs, toMs))
      .map(({ site }) => ({ name, site, fromMs, toMs }));
  }

  /** The soak may hear a message later than a subscriber; while it did not hear, it cannot know. */
  function settleDoubts(nowMs: number): void {
    const { hearsSinceMs = nowMs } = world.third;
    while (doubts[0] && doubts[0].toMs + HEARD_WITHIN_MS < nowMs) {
      const { name, site, fromMs, toMs } = doubts[0];
      doubts.shift();
      if (hearsSinceMs <= fromMs && !world.heard.hasNews(site, fromMs, toMs))
        wrong(`${name}: site ${site} is told fresh, with no news of it for ${TOLD_FOR_S} s`);
    }
  }

  async function askOn(subscriber: ServiceProcess): Promise<void> {
    while (!stopping.signal.aborted) {
      await askOnce(subscriber);
      await sleep(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {}); // stopped
    }
  }

  const loops = world.subscribers.map(askOn);
  return {
    last,
    get samples() {
      return samples;
    },
    get slowestMs() {
      return slowestMs;
    },
    async whileUnknowable(subscribers, work) {
      for (const subscriber of subscribers) unknowableSince.set(subscriber, Date.now());
      try {
        await work();
      } finally {
        for (const subscriber of subscribers) unknowableSince.delete(subscriber);
      }
    },
    async stop() {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}
