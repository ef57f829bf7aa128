import { setTimeout as sleep } from "node:timers/promises";
import type { Part } from "./parts.ts";
import { nextPoison } from "./poison.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

const MOST_REPEATED = 60;
const POISONS_AT_FIRST = 200;

export interface Background {
  /** Poisons that the broker took, by id, with their kinds. */
  readonly poisons: ReadonlyMap<string, string>;
  readonly repeated: number;
  readonly changes: number;
  /** Resolves when the last one is done. */
  stop(): Promise<void>;
}

/** What goes on all the time: parts stop and start, the ledger changes, poison comes, messages are repeated in any order. */
export function startBackground(world: World, random: Random, calledOff: AbortSignal): Background {
  const stopping = new AbortController();
  const signal = AbortSignal.any([calledOff, stopping.signal]);
  const signers = new Map([...world.keys].map(([site, { sign }]) => [site, sign]));
  const poisons = new Map<string, string>();
  const workers = world.parts.filter(({ kind }) => kind === "consumer");
  const hosts = world.parts.filter(({ kind }) => kind === "host");
  let made = 0;
  let repeated = 0;
  let changes = 0;

  async function every(leastS: number, mostS: number, work: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      await sleep(random.between(leastS, mostS) * 1000, undefined, { signal }).catch(() => {}); // stopped
      if (!signal.aborted) await work();
    }
  }

  /** Most of them are up most of the time. */
  async function changeWorker(): Promise<void> {
    const part = random.oneOf(workers);
    if (part.isWanted && random.chance(0.5)) return;
    await (part.isWanted ? part.stop() : part.start());
    changes += 1;
  }

  /** Mostly just long enough to be seen, so that hardly more than one message tells of it. */
  async function interrupt(host: Part): Promise<void> {
    await host.stop();
    await sleep(1000 * (random.chance(0.8) ? random.between(3.1, 4) : random.between(8, 20)));
    await host.start();
    changes += 2;
  }

  async function sendPoison(): Promise<void> {
    made += 1;
    const { id, kind, body, headers } = nextPoison(random, made, signers);
    if (await world.third.publish(body, headers)) poisons.set(id, kind);
  }

  /** Of one site only: what was lost of the other one must not come back by this way. */
  async function repeat(): Promise<void> {
    const ofOneSite = world.third.heard.filter(({ content }) => content.includes('"site":"south"'));
    const heard = random.shuffled(ofOneSite).slice(0, Math.floor(random.between(1, MOST_REPEATED)));
    const taken = await Promise.all(
      heard.map(({ content, properties }) => world.third.publish(content, { ...properties.headers })),
    );
    repeated += taken.filter(Boolean).length;
  }

  /** What the worst of them cost is taken at the beginning, so that what is taken later is growth. */
  async function sendMuchPoison(): Promise<void> {
    while (poisons.size < POISONS_AT_FIRST && !signal.aborted) {
      await sendPoison();
      await sleep(10);
    }
  }

  world.ledger.begin();
  const loops = [
    sendMuchPoison(),
    every(0.5, 2.5, changeWorker),
    ...hosts.map((host) => every(3.1, 9, () => interrupt(host))),
    every(0.2, 1, sendPoison),
    every(0.5, 2, repeat),
  ];
  return {
    poisons,
    get repeated() {
      return repeated;
    },
    get changes() {
      return changes;
    },
    async stop() {
      stopping.abort();
      world.ledger.rest();
      await Promise.all(loops);
    },
  };
}
