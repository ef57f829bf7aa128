import { setTimeout as sleep } from "node:timers/promises";
import { askHealth, type Health } from "../../demo/health.ts";
import type { Books } from "./books.ts";
import type { Said } from "./judge.ts";

const EVERY_MS = 250;
const STATES = ["up", "down", "unknown"] as const;

export interface HealthWatch {
  /** The last answer; undefined while there is none. */
  readonly last: Health | undefined;
  /** From now on all answers are judged. */
  judge(books: Books): void;
  stop(): Promise<void>;
}

/** Asks /health four times a second. */
export function watchHealth(url: string): HealthWatch {
  const stopping = new AbortController();
  let judging: Books | undefined;
  let last: Health | undefined;

  async function askOn(): Promise<void> {
    while (!stopping.signal.aborted) {
      const askedAtMs = Date.now();
      last = await askHealth(`${url}/health`);
      const answer = { code: last?.code, problems: last?.problems ?? [], said: saidBy(last) };
      if (!stopping.signal.aborted) judging?.answered(answer, askedAtMs, Date.now());
      await sleep(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {}); // stopped
    }
  }

  const asking = askOn();
  return {
    get last() {
      return last;
    },
    judge: (books) => void (judging = books),
    async stop() {
      stopping.abort();
      await asking;
    },
  };
}

function saidBy(health: Health | undefined): Said[] {
  const components = health?.sites.flatMap((site) => site.components) ?? [];
  return components.map(({ kind, name, state, reason }) => {
    const known = STATES.find((one) => one === state);
    if (!known) throw new Error(`/health has the state "${state}", which the soak does not know`);
    return { component: `${kind}:${name}`, state: known, reason };
  });
}
