import { setTimeout as sleep } from "node:timers/promises";
import { backoffMs } from "@pipeline-heartbeat/shared/backoff.ts";
import { decodeHeartbeat, type ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import type { Delivery } from "@pipeline-heartbeat/shared/consume.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import type { Outage } from "@pipeline-heartbeat/shared/outage.ts";
import type { Logger } from "pino";
import { type ApplyRules, applyHeartbeat, keyOf, type Outcome } from "./apply.ts";
import { siteEvents, type StateEvent } from "./events.ts";
import { factsOf, type TakenIn } from "./facts.ts";
import { isReplay } from "./order.ts";
import type { SiteRecord } from "./site-record.ts";
import { RefusedError, type Rejected, type Store, type Stored } from "./store.ts";
import { retell, type Retold } from "./timeline.ts";

/** Longer than this no message is held: the broker's consumer time-out would come. */
const MAX_HOLD_MS = 60_000;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;
/** Messages that went back to the queue after a minute come again sooner than this. */
const PROBLEM_LASTS_MS = 30_000;
const MAX_CONFLICTS = 100;
const MAX_CHANGES_LOGGED = 30;
const REJECTED_HEAD_BYTES = 500;
/** The same problem is logged once in this time, however many messages have it. */
const REJECTION_LOG_EVERY_MS = 60_000;

export interface IntakeOptions {
  readonly store: Store;
  readonly rules: ApplyRules;
  /** The name given to heartbeats that carry none. */
  readonly defaultSite: string;
  /** When our own clock was last set, 0 when never. */
  readonly clockSetAtMs: () => number;
  readonly log: Logger;
  readonly outage: Outage;
}

export interface Intake {
  /**
   * Deals with a batch of messages, in order: each is applied or quarantined. While the store is away they are held;
   * rejects when `lost` is aborted or after a minute, with nothing to be acknowledged.
   */
  take(deliveries: readonly Delivery[], lost: AbortSignal): Promise<void>;
  /** Why what came last could not be stored; undefined when it could, or when it was not tried again for 30 s. */
  readonly storeProblem: string | undefined;
}

export function intake({ store, rules, defaultSite, clockSetAtMs, log, outage }: IntakeOptions): Intake {
  const loggedAtMs = new Map<string, number>();
  let failure: { readonly problem: string; readonly atMs: number } | undefined;

  /** Tries until the store answers. */
  async function held<T>(work: () => Promise<T>, lost: AbortSignal): Promise<T> {
    const startedMs = performance.now();
    for (let attempt = 0; ; attempt += 1) {
      try {
        const result = await work();
        failure = undefined;
        return result;
      } catch (error) {
        const problem = errorText(error);
        failure = { problem, atMs: performance.now() };
        outage.failed(problem);
        if (performance.now() - startedMs > MAX_HOLD_MS) throw error;
        await sleep(backoffMs(attempt, FIRST_RETRY_MS, MAX_RETRY_MS), undefined, { signal: lost });
      }
    }
  }

  /** All heartbeats of one site in one commit; whoever loses a race against another subscriber begins anew. */
  function siteWork(site: string, received: readonly Received[], setAtMs: number): () => Promise<Rejected[]> {
    let replays: Rejected[] | undefined;
    return async () => {
      for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
        const before = await store.load(site);
        // Later on what is stored may be our own, of an attempt that seemed to fail.
        replays ??= replaysAmong(received, before);
        const { record, outcomes, events, taken } = fold(before, site, received, setAtMs);
        if (taken.length === 0 && record === before.record) return logOutcomes(site, outcomes, replays);
        const told = factsOf(taken);
        const history = told.isPlain ? undefined : await store.loadHistory(site);
        const retold = retell(before.record, record, told, history);
        if (!record && retold.events.length === 0) return logOutcomes(site, outcomes, replays);
        const result = await commitOrRefusal(before, site, retold, [...retold.events, ...events]);
        if (result instanceof RefusedError) {
          return received.map(({ delivery }) => rejection(`redis refuses it: ${result.message}`, delivery));
        }
        if (result === "full") {
          return received.map(({ delivery }) => rejection("too many sites (MAX_SITES)", delivery));
        }
        if (result === "committed") {
          if (record) logChanges(before.record, record, log);
          return logOutcomes(site, outcomes, replays);
        }
      }
      throw new Error(`site ${site} was changed by others ${MAX_CONFLICTS} times in a row`);
    };
  }

  /** A message that Redis can make nothing of must not stop all others. */
  async function commitOrRefusal(
    before: Stored,
    site: string,
    retold: Retold,
    events: readonly StateEvent[],
  ) {
    const { record } = retold;
    try {
      if (record) return await store.commit(before, record, events, retold);
      return await store.commitEvents(before, site, events, retold);
    } catch (error) {
      if (error instanceof RefusedError) return error;
      throw error;
    }
  }

  function fold(before: Stored, site: string, received: readonly Received[], setAtMs: number) {
    let { record } = before;
    const outcomes: (Outcome | "forgotten")[] = [];
    const events: StateEvent[] = [];
    const taken: TakenIn[] = [];
    for (const { heartbeat, delivery } of received) {
      const applied = applyHeartbeat(record, heartbeat, site, { ...delivery, clockSetAtMs: setAtMs }, rules);
      if (!record && isForgotten(before, delivery, applied.record)) {
        outcomes.push("forgotten");
        continue;
      }
      const isApplied = applied.outcome === "applied";
      if (isApplied && applied.record) events.push(...siteEvents(record, applied.record));
      // In format 1 only what counts tells anything.
      if (isApplied || (heartbeat.format === 2 && applied.outcome !== "duplicate")) {
        taken.push({ heartbeat, before: record, after: applied.record, isApplied });
      }
      record = applied.record;
      outcomes.push(applied.outcome);
    }
    return { record, outcomes, events, taken };
  }

  function logOutcomes(site: string, outcomes: readonly string[], replays: Rejected[]): Rejected[] {
    log.debug({ site, outcomes, replays: replays.length }, "heartbeats taken in");
    return replays;
  }

  async function quarantine(rejected: readonly Rejected[], lost: AbortSignal): Promise<void> {
    if (rejected.length === 0) return;
    await held(() => store.quarantine(rejected), lost);
    for (const { reason, receivedAtMs } of rejected) {
      const isNews = receivedAtMs - (loggedAtMs.get(reason) ?? -Infinity) >= REJECTION_LOG_EVERY_MS;
      if (isNews) loggedAtMs.set(reason, receivedAtMs);
      log[isNews ? "warn" : "debug"]({ reason }, "message quarantined in heartbeat:rejected");
    }
    if (loggedAtMs.size > 100) loggedAtMs.clear();
  }

  return {
    async take(deliveries, lost) {
      const rejected: Rejected[] = [];
      const received: Received[] = [];
      for (const delivery of deliveries) {
        const decoded = decodeHeartbeat(delivery.body, delivery.receivedAtMs);
        if (decoded.ok) received.push({ heartbeat: decoded.heartbeat, delivery });
        else rejected.push(rejection(decoded.problem, delivery));
      }
      const setAtMs = clockSetAtMs();
      const bySite = Map.groupBy(received, ({ heartbeat }) => heartbeat.site ?? defaultSite);
      for (const [site, ofSite] of bySite) {
        rejected.push(...(await held(siteWork(site, ofSite, setAtMs), lost)));
      }
      const entries = received.flatMap(({ heartbeat }) => heartbeat.upstreamEntries);
      await held(() => store.writeAsUpstream(entries), lost);
      await quarantine(rejected, lost);
    },
    get storeProblem() {
      const isRecent = failure && performance.now() - failure.atMs < PROBLEM_LASTS_MS;
      return isRecent ? failure?.problem : undefined;
    },
  };
}

interface Received {
  readonly heartbeat: ReceivedHeartbeat;
  readonly delivery: Delivery;
}

/** A message from before the site was forgotten does not bring it back. One that came at once is no such message. */
function isForgotten(
  { forgottenAtMs }: Stored,
  { hasWaited }: Delivery,
  record: SiteRecord | undefined,
): boolean {
  // Back-fill alone gives no record, and does not bring it back either.
  if (!record) return forgottenAtMs !== undefined;
  return hasWaited && record.freshAtMs <= (forgottenAtMs ?? 0);
}

/**
 * Heartbeats that were taken in before, by what was stored when they came, though nobody had reason to send or deliver
 * them twice. They change nothing.
 */
function replaysAmong(received: readonly Received[], { record }: Stored): Rejected[] {
  const inBatch = new Set<string>();
  return received.flatMap(({ heartbeat, delivery }) => {
    const { format, bootId, sequence, sentAtMs, cause } = heartbeat;
    const key = JSON.stringify([bootId, sequence, sentAtMs]);
    const isSecond = isReplay(record, heartbeat) || inBatch.has(key);
    if (format === 2) inBatch.add(key);
    // A publisher that got no confirm sends its back-fill again; a broker says what it delivers again.
    if (!isSecond || cause === "backfill" || delivery.isRedelivered) return [];
    return rejection("replayed: this heartbeat was taken in before", delivery);
  });
}

function rejection(reason: string, { body, receivedAtMs }: Delivery): Rejected {
  return { reason, receivedAtMs, head: body.subarray(0, REJECTED_HEAD_BYTES).toString() };
}

/** One line for a commit, however many components changed. */
function logChanges(before: SiteRecord | undefined, after: SiteRecord, log: Logger): void {
  const known = new Map(before?.components.map((component) => [keyOf(component), component.state]));
  const reported = new Set(after.components.map(keyOf));
  const changes = [
    ...after.components
      .filter((component) => known.get(keyOf(component)) !== component.state)
      .map(
        (component) => `${keyOf(component)} ${known.get(keyOf(component)) ?? "new"} -> ${component.state}`,
      ),
    ...[...known.keys()].filter((key) => !reported.has(key)).map((key) => `${key} no longer reported`),
  ];
  const { site } = after;
  if (before?.isSilenceWritten && !after.isSilenceWritten) log.info({ site }, "site is heard again");
  if (changes.length > 0) {
    log.info(
      { site, changed: changes.length, changes: changes.slice(0, MAX_CHANGES_LOGGED) },
      "states changed",
    );
  }
}
