import pLimit from "p-limit";
import type { Logger } from "pino";
import { type Belief, believe, forget, isInDoubt, type Moment, unlooked } from "./belief.ts";
import { lookInTime } from "./looking.ts";
import type { Observation, Probe, Target } from "./probe.ts";
import { ofBelief, type Standing } from "./standing.ts";
import { standings } from "./standings.ts";

/** What was passed over is looked at again after no less than this. */
const LEAST_EXCUSED_PAUSE_MS = 1_000;
/** So many intervals without a look, and nothing is known of the target any more. */
const MAX_MISSED_LOOKS = 3;

export interface WatchedTarget extends Target, Standing {}

export interface WatchOptions {
  /** How many probes look at the same time. */
  readonly concurrency: number;
  readonly now: () => Moment;
  /** At least 0, less than 1. */
  readonly random: () => number;
  /** Rejects when the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Whether a failure tells nothing, because what was asked is just being restarted. */
  readonly isExcused: (probe: Probe, failure: Observation) => boolean;
  readonly log: Logger;
  /** Called after a look that changed how a target stands. */
  readonly onChange: () => void;
}

export interface Watch {
  /** All targets, in the order of the probes. */
  targets(): WatchedTarget[];
  /**
   * Looks at these from now on, in place of others. What is believed of the same subject stays. Resolves when each of them
   * has been looked at once; until then `targets` are the old ones, and those of the first call are told at once.
   */
  replace(probes: readonly Probe[]): Promise<void>;
}

/** A target, and what is believed of it. */
interface Entry {
  readonly target: Target;
  /** Of the same subject in a file before or after this one it is the same. */
  readonly mind: Mind;
}

/** Times of the monotonic clock. */
interface Mind {
  belief: Belief;
  standing: Standing | undefined;
  lookedAtMs: number;
  /** When the last look was passed over; undefined when it was not. */
  excusedAtMs: number | undefined;
}

interface Watched {
  readonly probe: Probe;
  readonly entries: readonly Entry[];
  /** Has the next look begin at once. */
  wake: () => void;
}

/** Looks again and again at what `replace` names until the signal is aborted. Every probe keeps its own time. */
export function startWatch(options: WatchOptions, stopping: AbortSignal): Watch {
  const { now, log } = options;
  const monotonicMs = () => now().monotonicMs;
  const limit = pLimit(options.concurrency);
  let told = standings<Entry>([]);
  let newest: readonly Watched[] = [];
  let replaced = new AbortController();

  /** Since the probes were replaced it belongs to nobody. */
  async function lookOnce({ probe, entries }: Watched, ended: AbortSignal): Promise<void> {
    const { timeoutMs } = scheduleOf(probe);
    const observations = await limit(() => (ended.aborted ? [] : lookInTime(probe, timeoutMs, ended)));
    // A look that was cut off by our own stop saw nothing.
    if (ended.aborted) return;
    const moment = now();
    const before = entries.map(({ mind }) => mind.standing?.state);
    for (const [index, { target, mind }] of entries.entries()) {
      const seen = observations[index] ?? { state: "unknown" };
      mind.lookedAtMs = moment.monotonicMs;
      const isPassedOver =
        seen.state !== "up" && mind.belief.reason !== "not_looked_yet" && options.isExcused(probe, seen);
      mind.excusedAtMs = isPassedOver ? moment.monotonicMs : undefined;
      if (!isPassedOver) update(target, mind, seen, moment);
    }
    if (!told.stand(entries, moment.wallMs)) return;
    const isBack = entries.some(
      ({ mind }, index) => mind.standing?.state === "up" && before[index] === "down",
    );
    if (isBack) lookAtChildren();
    options.onChange();
  }

  function update(target: Target, mind: Mind, seen: Observation, moment: Moment): void {
    const before = mind.belief;
    mind.belief = believe(before, seen, moment, target.policy);
    logChange(log, target, before, mind.belief);
    if (before.failedLooks === 0 && mind.belief.failedLooks === 1) logDoubt(log, target, seen);
  }

  /** What their looks say is from the time when a parent was down. */
  function lookAtChildren(): void {
    for (const { entries, wake } of newest) {
      if (entries.some(({ mind }) => mind.standing?.reason === "parent_unconfirmed")) wake();
    }
  }

  async function watchOne(watched: Watched, ended: AbortSignal, looked: () => void): Promise<void> {
    const { intervalMs, splayMs } = scheduleOf(watched.probe);
    // All look at once at the start, so that something is known; the second look is spread.
    let dueMs = monotonicMs() + intervalMs - options.random() * splayMs;
    for (;;) {
      await lookOnce(watched, ended);
      looked();
      for (let pauseMs = pauseOf(watched); pauseMs < dueMs - monotonicMs(); pauseMs = pauseOf(watched)) {
        await options.sleep(pauseMs, ended);
        await lookOnce(watched, ended);
      }
      const isWoken = await rest(watched, Math.max(0, dueMs - monotonicMs()), ended);
      if (!isWoken) dueMs = Math.max(dueMs, monotonicMs() - intervalMs) + intervalMs;
    }
  }

  /** Whether it was woken. Rejects when it is ended. */
  async function rest(watched: Watched, ms: number, ended: AbortSignal): Promise<boolean> {
    const bell = new AbortController();
    const ring = () => bell.abort();
    ended.addEventListener("abort", ring);
    watched.wake = ring;
    try {
      await options.sleep(ms, bell.signal);
    } catch (error) {
      if (ended.aborted || !bell.signal.aborted) throw error;
    } finally {
      ended.removeEventListener("abort", ring);
    }
    ended.throwIfAborted();
    return bell.signal.aborted;
  }

  function start(watched: Watched, ended: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    watchOne(watched, ended, resolve).catch((error: unknown) => {
      if (!ended.aborted) throw error;
      resolve();
    });
    return promise;
  }

  /** A state that nobody has looked at for long is no longer known, whatever kept the probe from looking. */
  function forgetOld(): void {
    const moment = now();
    const forgotten = told.entries.filter(({ target, mind }) => {
      const { intervalMs, timeoutMs, confirm } = target.policy;
      const longestMs = MAX_MISSED_LOOKS * (intervalMs + timeoutMs) + confirm.pauseMs;
      return moment.monotonicMs - mind.lookedAtMs > longestMs;
    });
    for (const { mind } of forgotten) mind.belief = forget(mind.belief, moment.wallMs);
    told.stand(forgotten, moment.wallMs);
  }

  return {
    targets() {
      forgetOld();
      return told.entries.map(({ target, mind }) => ({
        ...target,
        ...(mind.standing ?? ofBelief(mind.belief)),
      }));
    },
    async replace(probes) {
      const isFirst = newest.length === 0;
      const minds = new Map([
        ...mindsByKey(told.entries),
        ...mindsByKey(newest.flatMap(({ entries }) => entries)),
      ]);
      const moment = now();
      const keys = keysOf(probes.flatMap(({ targets }) => targets)).values();
      const watched = probes.map((probe): Watched => ({
        probe,
        entries: probe.targets.map((target) => ({
          target,
          mind: minds.get(keys.next().value ?? "") ?? freshMind(moment),
        })),
        wake: () => {},
      }));
      newest = watched;
      replaced.abort();
      replaced = new AbortController();
      const ended = AbortSignal.any([stopping, replaced.signal]);
      const entries = watched.flatMap(({ entries }) => entries);
      if (isFirst) told = standings(entries);
      told.stand(told.entries, moment.wallMs);
      await Promise.all(watched.map((one) => start(one, ended)));
      if (isFirst || ended.aborted) return;
      told = standings(entries);
      told.stand(entries, now().wallMs);
      options.onChange();
    },
  };

  /** When the next look can confirm a failure that is in doubt, or was passed over. */
  function pauseOf({ entries }: Watched): number {
    const nowMs = monotonicMs();
    const pauses = entries.flatMap(({ target, mind: { belief, excusedAtMs } }) => {
      const { pauseMs } = target.policy.confirm;
      if (excusedAtMs !== undefined) return excusedAtMs + Math.max(pauseMs, LEAST_EXCUSED_PAUSE_MS) - nowMs;
      return isInDoubt(belief, target.policy) ? belief.countedAtMs + pauseMs - nowMs : [];
    });
    return Math.max(0, Math.min(Infinity, ...pauses));
  }
}

function freshMind({ wallMs, monotonicMs }: Moment): Mind {
  return {
    belief: unlooked(wallMs),
    standing: undefined,
    lookedAtMs: monotonicMs,
    excusedAtMs: undefined,
  };
}

function mindsByKey(entries: readonly Entry[]): [string, Mind][] {
  const keys = keysOf(entries.map(({ target }) => target)).values();
  return entries.map(({ mind }) => [keys.next().value ?? "", mind]);
}

export function longestTimeoutMs(targets: readonly WatchedTarget[]): number {
  return targets.reduce((longest, { policy }) => Math.max(longest, policy.timeoutMs), 0);
}

/** Which is the same for all targets of a probe. */
function scheduleOf({ targets }: Probe) {
  const [target] = targets;
  if (!target) throw new Error("a probe has no target");
  return target.policy;
}

/** The same thing under the same name has the same key in another file. The second of its kind in a file is another one. */
function keysOf(targets: readonly Target[]): string[] {
  const counts = new Map<string, number>();
  return targets.map(({ kind, name, section, probe, subject }) => {
    const key = JSON.stringify([kind, name, section, probe, subject]);
    const nth = (counts.get(key) ?? 0) + 1;
    counts.set(key, nth);
    return `${key} ${nth}`;
  });
}

function logChange(log: Logger, { kind, name }: Target, before: Belief, after: Belief): void {
  if (before.state === after.state) return;
  const { state, reason, detail } = after;
  log.info({ kind, component: name, from: before.state, to: state, reason, detail }, "component changed");
}

function logDoubt(log: Logger, { kind, name }: Target, { state, reason, detail }: Observation): void {
  log.debug({ kind, component: name, seen: state, reason, detail }, "failure not believed yet");
}
