import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeHeartbeat } from "../packages/shared/src/heartbeat.ts";
import type { SiteKey } from "./keys.ts";
import { PUBLISH_INTERVAL_S } from "./sites.ts";
import type { ThirdParty } from "./third-party.ts";

const EVERY_MS = 100;
const AT_REST_EVERY_MS = 1_000;

/**
 * A site whose every heartbeat tells a change that none after it tells again: what is lost of it is missed, whenever it is
 * lost. As a publisher does, it repeats what was not confirmed, and says nothing else before that was.
 */
export interface Ledger {
  /** From now on it is up and down in turn; at first it is up. */
  begin(): void;
  /** From now on it is up. */
  rest(): void;
  stop(): Promise<void>;
}

export function startLedger(site: string, { sign }: SiteKey, third: ThirdParty): Ledger {
  const stopping = new AbortController();
  const { signal } = stopping;
  const bootId = randomUUID();
  const startedAtMs = Date.now();
  let sequence = 0;
  let isAtRest = true;
  let state: "up" | "down" = "up";
  let sinceMs = startedAtMs;

  function nextHeartbeat(): Buffer {
    const sentAtMs = Date.now();
    const next = isAtRest || state === "down" ? "up" : "down";
    const cause = next === state ? "interval" : "change";
    if (next !== state) [state, sinceMs] = [next, sentAtMs];
    return encodeHeartbeat(
      {
        site,
        bootId,
        sequence: (sequence += 1),
        startedAtMs,
        sentAtMs,
        uptimeMs: performance.now(),
        intervalMs: PUBLISH_INTERVAL_S * 1000,
        cause,
        hosts: [],
        queues: [],
        services: [],
        components: [{ kind: "service", name: "ledger", state, sinceMs, observedAtMs: sentAtMs }],
      },
      2,
    );
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const body = nextHeartbeat();
      while (!(await third.publishAsSite(body, sign(body))) && !signal.aborted) await sleep(EVERY_MS);
      await sleep(isAtRest ? AT_REST_EVERY_MS : EVERY_MS, undefined, { signal }).catch(() => {}); // stopped
    }
  }

  const running = run();
  return {
    begin: () => void (isAtRest = false),
    rest: () => void (isAtRest = true),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
