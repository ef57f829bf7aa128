import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import type { Outage } from "@pipeline-heartbeat/shared/outage.ts";
import type { Logger } from "pino";
import { applySilence, isFromTheFuture, withoutFuture } from "./passing-time.ts";
import { siteEvents } from "./events.ts";
import type { Memory } from "./remember.ts";
import { replacementOf } from "./replaced.ts";
import type { SiteRecord } from "./site-record.ts";
import type { Store } from "./store.ts";

/** Silence is written within a second of its deadline. */
const SWEEP_EVERY_MS = 400;
/** At the start connecting to the store may take a while; if it fails, the connection itself tells why. */
const FIRST_ANSWER_WITHIN_MS = 2_000;

export interface SweepOptions {
  readonly store: Store;
  readonly memory: Memory;
  readonly expectedSites: readonly string[];
  /** The name given to heartbeats that carry none. */
  readonly defaultSite: string;
  readonly now: () => number;
  /** When our own clock was last set back, 0 when never. */
  readonly clockSetBackAtMs: () => number;
  readonly log: Logger;
  readonly outage: Outage;
  /** Whether something that came could not be stored: then the store is not back, though this pass succeeds. */
  readonly isStoreStuck: () => boolean;
  /** Whether messages that waited for us may still end a silence. */
  readonly isCatchingUp: () => boolean;
}

/**
 * Writes what becomes true by the mere passing of time, for a reader that cannot compute, and finds out whether the store
 * takes writes although nothing may come that is to be written. Until the signal is aborted.
 * @param passed called after each pass, with the reason when it failed
 */
export async function runSweep(
  options: SweepOptions,
  stopping: AbortSignal,
  passed: (problem: string | undefined) => void,
): Promise<void> {
  const { store, outage, isStoreStuck } = options;
  const startedMs = performance.now();
  let hasAnswered = false;
  const stopped = once(stopping, "abort");
  const reconcileReader = onceInBackground(() => store.reconcileReader());
  async function pass(): Promise<void> {
    await sweepOnce(options);
    // After the first pass, which tells the reader of what is unknown: not a moment may it find no key at all. With many
    // names it takes longer than a silence may wait.
    reconcileReader();
  }
  for (;;) {
    await sleep(SWEEP_EVERY_MS, undefined, { signal: stopping }).catch(() => {}); // the loop ends
    if (stopping.aborted) return;
    let problem: string | undefined;
    try {
      await store.ping();
      hasAnswered = true;
      // With a slow store and many sites it takes long; each of its commits is whole, whether it goes on or not.
      await Promise.race([pass(), stopped]);
    } catch (error) {
      problem = errorText(error);
    }
    // A pass that was cut off tells nothing about the store.
    if (stopping.aborted) return;
    passed(problem);
    hasAnswered ||= performance.now() - startedMs > FIRST_ANSWER_WITHIN_MS;
    if (problem === undefined && !isStoreStuck()) outage.recovered();
    if (problem !== undefined && hasAnswered) outage.failed(problem);
  }
}

/**
 * Begins it at the first call, and again at later ones until it has succeeded; one at a time.
 * @throws what went wrong the last time
 */
function onceInBackground(work: () => Promise<void>): () => void {
  let isBegun = false;
  let failure: Error | undefined;
  async function begin(): Promise<void> {
    isBegun = true;
    try {
      await work();
      failure = undefined;
    } catch (error) {
      failure = new Error(errorText(error), { cause: error });
      isBegun = false;
    }
  }
  return () => {
    if (!isBegun) void begin();
    if (failure) throw failure;
  };
}

/** One pass. Safe beside the passes of other subscribers: whoever commits first writes the silence, once. */
export async function sweepOnce(options: SweepOptions): Promise<void> {
  const { store, memory, expectedSites, now, log, isCatchingUp } = options;
  const restored = await memory.keepStore();
  if (restored.length > 0) log.warn({ sites: restored.length }, "redis had lost its data: written again");
  await voidFuture(options);
  const nowMs = now();
  await forgetReplaced(options, nowMs);
  await store.tellUnknownSites(expectedSites, nowMs);
  for (const site of await store.due(nowMs)) {
    const before = await store.load(site);
    const { record } = before;
    if (!record || record.sweepAtMs >= nowMs) continue;
    if (isCatchingUp() && !record.isSilenceWritten) continue;
    const silent = applySilence(record, nowMs);
    const result = await store.commit(before, silent, siteEvents(record, silent));
    if (result === "committed" && !record.isSilenceWritten) {
      const { deadlineMs, cause } = record;
      log.info({ site, deadlineMs, lastCause: cause }, "site is silent");
    }
  }
}

/**
 * How old news is that claims to come from a time to come is not known: our clock was set, or other subscribers have
 * another one. Nor is it known of what was heard before our clock was set back.
 */
async function voidFuture({ store, memory, now, clockSetBackAtMs, log }: SweepOptions): Promise<void> {
  const setBackAtMs = clockSetBackAtMs();
  const isOfUnknownAge = (record: SiteRecord, nowMs: number) =>
    isFromTheFuture(record, nowMs) || (record.receivedAtMs < setBackAtMs && nowMs <= record.deadlineMs);
  for (const remembered of memory.sites.values()) {
    if (!isOfUnknownAge(remembered, now())) continue;
    const { site } = remembered;
    const before = await store.load(site);
    // Now, not when the pass began: one that takes long finds what was received meanwhile.
    const nowMs = now();
    if (!before.record || !isOfUnknownAge(before.record, nowMs)) continue;
    const aheadMs = before.record.receivedAtMs - nowMs;
    if ((await store.commit(before, withoutFuture(before.record, nowMs), [])) === "committed") {
      log.warn(
        { site, aheadMs },
        "heard in the future: the clock here was set, or another subscriber's is ahead",
      );
    }
  }
}

/** A nameless site whose publisher was given a name would be silent for ever. */
async function forgetReplaced(
  { store, memory, expectedSites, defaultSite, log }: SweepOptions,
  nowMs: number,
): Promise<void> {
  if (expectedSites.includes(defaultSite)) return;
  const by = replacementOf(memory.sites.get(defaultSite), memory.sites.values(), nowMs);
  if (by === undefined) return;
  const before = await store.load(defaultSite);
  if (replacementOf(before.record, memory.sites.values(), nowMs) !== by) return;
  if (await store.forget(before, defaultSite, nowMs, expectedSites)) {
    log.info({ site: defaultSite, by }, "silent site is forgotten: another one reports all its components");
  }
}
