import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { backoffMs } from "@pipeline-heartbeat/shared/backoff.ts";
import type { Delivery } from "@pipeline-heartbeat/shared/consume.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import type { Outage } from "@pipeline-heartbeat/shared/outage.ts";
import type { Verify } from "@pipeline-heartbeat/shared/signature.ts";
import type { Logger } from "pino";
import { type ApplyRules, keyOf } from "./apply.ts";
import type { StateEvent } from "./events.ts";
import { factsOf } from "./facts.ts";
import { fold, ofFewBoots, type Refusals, replaysAmong } from "./fold.ts";
import { judge, type Received } from "./judge.ts";
import { rejection, type RejectionCode, type Rejections, rejections } from "./rejection.ts";
import type { SiteRecord } from "./site-record.ts";
import { RefusedError, type Rejected, type Store, type Stored } from "./store.ts";
import { retell, type Retold } from "./timeline.ts";

/** Longer than this no message is held: another subscriber may be able to store it. */
const MAX_HOLD_MS = 10_000;
const FIRST_RETRY_MS = 50;
/** What is held keeps /health from being well: within a second of the return it is to be stored. */
const MAX_RETRY_MS = 250;
const MAX_CONFLICTS = 100;
const MAX_CHANGES_LOGGED = 30;

export interface IntakeOptions {
  readonly store: Store;
  readonly rules: ApplyRules;
  /** The name given to heartbeats that carry none. */
  readonly defaultSite: string;
  /** Absent where nothing is verified. */
  readonly verify?: Verify | undefined;
  /** When our own clock was last set, 0 when never. */
  readonly clockSetAtMs: () => number;
  readonly log: Logger;
  readonly outage: Outage;
}

export interface Intake {
  /**
   * Deals with a batch of messages, in order: each is applied or quarantined. While the store is away they are held;
   * rejects when `lost` is aborted or after ten seconds, with nothing to be acknowledged.
   */
  take(deliveries: readonly Delivery[], lost: AbortSignal): Promise<void>;
  /** Why what came last could not be stored; undefined when it could. */
  readonly failure: StoreFailure | undefined;
  /** performance.now() when something could not be stored for the last time, -Infinity when that never happened. */
  readonly lastFailedMs: number;
  readonly rejections: Rejections;
}

interface StoreFailure {
  readonly problem: string;
  /** performance.now() at the last try. */
  readonly atMs: number;
}

export function intake(options: IntakeOptions): Intake {
  const { store, rules, defaultSite, verify, clockSetAtMs, log, outage } = options;
  const judged = judge(defaultSite, verify);
  const refused = rejections(log);
  let failure: StoreFailure | undefined;
  let lastFailedMs = -Infinity;

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
        lastFailedMs = performance.now();
        failure = { problem, atMs: lastFailedMs };
        outage.failed(problem);
        if (performance.now() - startedMs > MAX_HOLD_MS) throw error;
        await sleep(backoffMs(attempt, FIRST_RETRY_MS, MAX_RETRY_MS), undefined, { signal: lost });
      }
    }
  }

  /** Heartbeats of one site in one commit; whoever loses a race against another subscriber begins anew. */
  function siteWork(site: string, received: readonly Received[], setAtMs: number): () => Promise<Refusals> {
    let replays: Refusals | undefined;
    return async () => {
      for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
        const before = await store.load(site);
        // Later on what is stored may be our own, of an attempt that seemed to fail.
        replays ??= replaysAmong(received, before);
        const { record, outcomes, events, taken } = fold(before, site, received, { rules, setAtMs });
        if (taken.length === 0 && record === before.record) return logOutcomes(site, outcomes, replays);
        const told = factsOf(taken);
        const history = told.isPlain ? undefined : await store.loadHistory(site);
        const retold = retell(before.record, record, told, history);
        if (!record && retold.events.length === 0) return logOutcomes(site, outcomes, replays);
        const result = await commitOrRefusal(before, site, retold, [...retold.events, ...events]);
        if (result instanceof RefusedError) {
          return refuseAll(received, "refused_by_redis", `redis refuses it: ${result.message}`);
        }
        if (result === "full") return refuseAll(received, "too_many_sites", "too many sites (MAX_SITES)");
        if (result === "crowded") {
          const reason = "too many components of all sites together (MAX_COMPONENTS)";
          return refuseAll(received, "too_many_components", reason);
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

  function logOutcomes(site: string, outcomes: readonly string[], replays: Refusals): Refusals {
    log.debug({ site, outcomes, replays: replays.size }, "heartbeats taken in");
    return replays;
  }

  async function quarantine(rejected: readonly Rejected[], lost: AbortSignal): Promise<void> {
    if (rejected.length === 0) return;
    await held(() => store.quarantine(rejected), lost);
    refused.add(rejected);
  }

  return {
    async take(deliveries, lost) {
      const rejected: Rejected[] = [];
      const received: Received[] = [];
      const refusals = new Map<Received, Rejected>();
      for (const delivery of deliveries) {
        const result = judged(delivery);
        if ("heartbeat" in result) received.push(result);
        else rejected.push(result);
        // A batch of large messages takes seconds, and /health does not wait.
        await setImmediate();
      }
      const setAtMs = clockSetAtMs();
      const bySite = Map.groupBy(received, ({ heartbeat }) => heartbeat.site ?? defaultSite);
      for (const [site, ofSite] of bySite) {
        for (const part of ofFewBoots(ofSite)) {
          for (const [one, why] of await held(siteWork(site, part, setAtMs), lost)) refusals.set(one, why);
        }
      }
      const accepted = received.filter((one) => !refusals.has(one));
      const entries = accepted.flatMap(({ heartbeat }) => heartbeat.upstreamEntries);
      await held(() => store.writeAsUpstream(entries), lost);
      // They are somebody else's by now: what looks like a replay may be what that one has taken in.
      lost.throwIfAborted();
      await quarantine([...rejected, ...refusals.values()], lost);
    },
    get failure() {
      return failure;
    },
    get lastFailedMs() {
      return lastFailedMs;
    },
    rejections: refused,
  };
}

function refuseAll(received: readonly Received[], code: RejectionCode, reason: string): Refusals {
  return new Map(received.map((one) => [one, rejection(code, reason, one.delivery)]));
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
