import { encodeHeartbeat, type State } from "@pipeline-heartbeat/shared/heartbeat.ts";

export const INTERVAL_MS = 20_000;
/** SILENCE_FACTOR × INTERVAL_MS */
export const ALLOWED_MS = 50_000;

/** A message on its way, with what only the world knows: when it was truly sent, and what was true then. */
export interface Sent {
  readonly site: string;
  readonly body: Buffer;
  readonly sentMs: number;
  readonly states: ReadonlyMap<string, State>;
}

/** One run of a site's publisher and the components that it looks at. */
export interface Publisher {
  readonly site: string;
  readonly isAlive: boolean;
  /** Whether this run has sent anything yet. */
  readonly hasSpoken: boolean;
  /** How far its wall clock is ahead. */
  aheadMs: number;
  set(name: string, state: State): void;
  remove(name: string): void;
  stop(nowMs: number): Sent | undefined;
  start(nowMs: number): void;
  /** The heartbeats that are due. */
  beats(nowMs: number): Sent[];
}

let boots = 0;

/** A publisher that says the truth at every interval, and at once when a state changes in format 2. */
export function publisher(site: string, format: 1 | 2, startMs: number): Publisher {
  const states = new Map<string, State>([
    [`service db-${site}`, "up"],
    ["service shared", "up"],
    [`queue inbox-${site}`, "up"],
  ]);
  let isAlive = true;
  let aheadMs = 0;
  let run = { bootId: "", startedMs: 0, startedAtMs: 0, sequence: 0, dueMs: 0 };
  let hasChanged = false;

  function start(nowMs: number): void {
    boots += 1;
    isAlive = true;
    run = {
      bootId: `boot-${boots}`,
      startedMs: nowMs,
      startedAtMs: nowMs + aheadMs,
      sequence: 0,
      dueMs: nowMs,
    };
  }
  start(startMs);

  function beat(nowMs: number, cause: "interval" | "goodbye"): Sent {
    run.sequence += 1;
    const atMs = nowMs + aheadMs;
    const components = [...states].map(([key, state]) => {
      const [kind = "", name = ""] = key.split(" ");
      return {
        kind: kind === "queue" ? ("queue" as const) : ("service" as const),
        name,
        state,
        observedAtMs: atMs,
      };
    });
    const body = encodeHeartbeat(
      {
        site,
        bootId: run.bootId,
        sequence: run.sequence,
        startedAtMs: run.startedAtMs,
        sentAtMs: atMs,
        uptimeMs: nowMs - run.startedMs,
        intervalMs: INTERVAL_MS,
        cause,
        hosts: components.filter(({ kind }) => kind === "service"),
        queues: components.filter(({ kind }) => kind === "queue"),
        services: [],
        components,
      },
      format,
    );
    return { site, body, sentMs: nowMs, states: new Map(states) };
  }

  return {
    site,
    get isAlive() {
      return isAlive;
    },
    get hasSpoken() {
      return run.sequence > 0;
    },
    get aheadMs() {
      return aheadMs;
    },
    set aheadMs(value) {
      aheadMs = value;
    },
    set(name, state) {
      hasChanged ||= states.get(name) !== state;
      states.set(name, state);
    },
    remove(name) {
      if (states.size > 1) states.delete(name);
    },
    stop(nowMs) {
      if (!isAlive) return undefined;
      isAlive = false;
      return format === 2 ? beat(nowMs, "goodbye") : undefined;
    },
    start,
    beats(nowMs) {
      if (!isAlive) return [];
      const isDue = nowMs >= run.dueMs;
      if (isDue) run.dueMs += INTERVAL_MS;
      const isSent = isDue || (hasChanged && format === 2);
      if (isSent) hasChanged = false;
      return isSent ? [beat(nowMs, "interval")] : [];
    },
  };
}
