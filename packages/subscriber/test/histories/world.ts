import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import type { Redis } from "ioredis";
import { pino } from "pino";
import { expect } from "vitest";
import { heartbeatBody } from "../../src/http/heartbeat.ts";
import { intake } from "../../src/intake.ts";
import { rememberingStore } from "../../src/remember.ts";
import type { Store } from "../../src/store.ts";
import { sweepOnce } from "../../src/sweep.ts";
import { verdict } from "../../src/verdict.ts";
import { connected } from "../heartbeats.ts";
import { readerAnswer } from "../reader.ts";
import { ALLOWED_MS, INTERVAL_MS, type Publisher, publisher, type Sent } from "./publisher.ts";

const TICK_MS = 5_000;
/** So long after the last disturbance everything must be known again. */
const CALM_MS = 5 * INTERVAL_MS;
/** An ok key outlives the deadline by this when nobody is there to delete it. */
const OK_OUTLIVES_MS = 60_000;
/** Whole seconds, and clocks that may have drifted apart. */
const SLACK_MS = 1_100;
const BATCH = 7;

const log = pino({ level: "silent" });
const outage = outageLog("redis", log);
const never = new AbortController().signal;
const rules = { expectedIntervalMs: INTERVAL_MS, silenceFactor: ALLOWED_MS / INTERVAL_MS };
const strict = { expectedSites: [], unknownAs: "fail" as const };

/** Two subscribers on one Redis, as after each start. */
function startSubscribers(plain: Store) {
  return [0, 1].map(() => {
    const { store, memory } = rememberingStore(plain);
    const taking = intake({ store, rules, defaultSite: "default", clockSetAtMs: () => 0, log, outage });
    return { store, memory, take: taking.take };
  });
}

/** The reader's answer at a time to come: Redis does not know yet that keys will have expired by then. */
async function askReaderAt(redis: Redis, nowMs: number) {
  const names = [...(await redis.keys("service:*")), ...(await redis.keys("queue:*"))];
  const pairs: [string, string][] = [];
  for (const name of names) {
    const expiresMs = await redis.pexpiretime(name);
    if (expiresMs < 0 || nowMs < expiresMs) pairs.push([name, (await redis.get(name)) ?? ""]);
  }
  const answer = readerAnswer(pairs);
  expect(readerAnswer(pairs.toReversed()), "the reader's answer depends on the order of KEYS").toEqual(
    answer,
  );
  return answer;
}

/** What may happen. Times are in ticks. */
export type Action =
  | { do: "wait"; ticks: number }
  | { do: "set"; site: number; component: number; state: "up" | "down" | "unknown" }
  | { do: "remove"; site: number; component: number }
  | { do: "crash" | "goodbye" | "start"; site: number }
  | { do: "set clock"; site: number; minutes: number }
  | { do: "leave" | "return" | "block" | "open" | "empty redis" | "replay" };

/** Two publishers, a broker, two subscribers and the old reader; time passes only in `wait`. Every tick is checked. */
export function world(plain: Store, redis: Redis) {
  let nowMs = Math.floor(Date.now() / 1_000) * 1_000;
  const publishers: Publisher[] = [publisher("default", 1, nowMs), publisher("tsd", 2, nowMs)];
  const names = ["service shared", "service extra", "service db-default", "queue inbox-tsd"];
  let subscribers: ReturnType<typeof startSubscribers> | undefined = startSubscribers(plain);
  let isBlocked = false;
  const queue: Sent[] = [];
  /** What was delivered, the newest last. */
  const past: Sent[] = [];
  const upSinceMs = new Map<string, number>();
  let disturbedMs = nowMs;
  /** Sites whose clock was set, and when: for a while nobody can have compared it. */
  const clockSetMs = new Map<string, number>();
  /** Until when it may not be known which message of a site is the newest, because its clock was set back. */
  const orderLostUntilMs = new Map<string, number>();
  /** The latest time that a site's clock has shown, counted as no later than the true one. */
  const shownMs = new Map<string, number>();
  let leftMs = nowMs;
  let turn = 0;

  async function act(action: Action): Promise<void> {
    if (action.do === "wait") {
      for (let tick = 0; tick < action.ticks; tick += 1) await pass();
    } else if (await disturb(action)) {
      disturbedMs = nowMs;
    }
  }

  /** Returns whether something was done that may need time to be over. */
  async function disturb(action: Exclude<Action, { do: "wait" }>): Promise<boolean> {
    switch (action.do) {
      case "set":
        publisherAt(action.site).set(names[action.component] ?? "", action.state);
        upSinceMs.set(`${action.site} ${names[action.component]}`, action.state === "up" ? nowMs : Infinity);
        return false;
      case "remove":
        publisherAt(action.site).remove(names[action.component] ?? "");
        return true;
      case "crash":
      case "goodbye": {
        if (isUnknowable(publisherAt(action.site).site)) return false;
        const goodbye = publisherAt(action.site).stop(nowMs);
        if (goodbye && action.do === "goodbye") queue.push(goodbye);
        await takeWhatIsThere();
        return true;
      }
      case "start":
        if (isUnknowable(publisherAt(action.site).site)) return false;
        start(publisherAt(action.site));
        return true;
      case "set clock":
        return setClock(action);
      case "leave":
        if (subscribers) leftMs = nowMs;
        subscribers = undefined;
        return true;
      case "return":
        if (!subscribers) await comeBack();
        return true;
      case "block":
        isBlocked ||= clockSetMs.size === 0;
        return true;
      case "open":
        isBlocked = false;
        return true;
      case "empty redis":
        if (!subscribers && publishers.some(({ aheadMs }) => aheadMs > 0)) return false;
        await redis.flushdb();
        if (!subscribers) past.length = 0;
        await sweep(false);
        return false;
      case "replay":
        break;
    }
    await deliver(past.slice(-12), false);
    return true;
  }

  function setClock({ site, minutes }: Extract<Action, { do: "set clock" }>): boolean {
    const changed = publisherAt(site);
    if (isBlocked || !changed.isAlive || isUnknowable(changed.site)) return false;
    // Format 1 orders its messages by the clock; two of them have to come at the right pace before it is believed.
    if (!changed.hasSpoken) loseOrder(changed.site, ALLOWED_MS + INTERVAL_MS);
    if (site === 0 && minutes * 60_000 < changed.aheadMs) loseOrder(changed.site, 3.5 * INTERVAL_MS);
    changed.aheadMs = minutes * 60_000;
    clockSetMs.set(changed.site, nowMs);
    return true;
  }

  /** A new run whose clock is behind what the one before has shown is not believed before that one's deadline. */
  function start(publisher: Publisher): void {
    const isBehind = nowMs + publisher.aheadMs < (shownMs.get(publisher.site) ?? 0);
    if (isBehind) loseOrder(publisher.site, ALLOWED_MS + INTERVAL_MS);
    publisher.start(nowMs);
  }

  function loseOrder(site: string, forMs: number): void {
    orderLostUntilMs.set(site, Math.max(orderLostUntilMs.get(site) ?? 0, nowMs + forMs));
  }

  /** Of a clock that was set while nobody compares it, no further change can be told from time that has passed. */
  function isUnknowable(site: string): boolean {
    return clockSetMs.has(site) && (isBlocked || subscribers === undefined);
  }

  function publisherAt(index: number): Publisher {
    const found = publishers[index];
    if (!found) throw new Error("no such publisher");
    return found;
  }

  async function pass(): Promise<void> {
    nowMs += TICK_MS;
    for (const publisher of publishers) {
      queue.push(...publisher.beats(nowMs));
      const { site, aheadMs } = publisher;
      shownMs.set(site, Math.max(shownMs.get(site) ?? 0, nowMs + Math.min(0, aheadMs)));
      const canCompare = subscribers !== undefined && !isBlocked && publisher.isAlive;
      if (!canCompare && clockSetMs.has(site)) clockSetMs.set(site, nowMs);
      if (nowMs - (clockSetMs.get(site) ?? nowMs) > 4 * INTERVAL_MS) clockSetMs.delete(site);
    }
    await takeWhatIsThere();
    await sweep(false);
    await check();
  }

  async function takeWhatIsThere(): Promise<void> {
    if (subscribers && !isBlocked) await take(queue.splice(0), false);
  }

  async function comeBack(): Promise<void> {
    subscribers = startSubscribers(plain);
    // What was not over when they left begins anew.
    for (const [site, untilMs] of orderLostUntilMs) if (untilMs > leftMs) loseOrder(site, 3.5 * INTERVAL_MS);
    await sweep(true);
    if (!isBlocked) await take(queue.splice(0), true);
  }

  async function take(messages: readonly Sent[], hasWaited: boolean): Promise<void> {
    await deliver(messages, hasWaited);
    past.push(...messages);
    past.splice(0, Math.max(0, past.length - 100));
  }

  async function deliver(messages: readonly Sent[], hasWaited: boolean): Promise<void> {
    for (let start = 0; start < messages.length; start += BATCH) {
      const batch = messages.slice(start, start + BATCH);
      const deliveries = batch.map(({ body }) => ({
        body,
        receivedAtMs: nowMs,
        hasWaited,
        isRedelivered: false,
      }));
      turn += 1;
      await subscribers?.[turn % 2]?.take(deliveries, never);
    }
  }

  async function sweep(isCatchingUp: boolean): Promise<void> {
    for (const { store, memory } of subscribers ?? []) {
      await sweepOnce({
        store,
        memory,
        expectedSites: ["tsd"],
        defaultSite: "none",
        now: () => nowMs,
        clockSetBackAtMs: () => 0,
        log,
        outage,
        isStoreStuck: () => false,
        isCatchingUp: () => isCatchingUp,
      });
    }
  }

  /** The newest word of each site. While its order is lost, any of them. */
  function sayings(): Sent[][] {
    return publishers.map(({ site }) => {
      const ofSite = past.filter((message) => message.site === site);
      const isOrderLost = nowMs < (orderLostUntilMs.get(site) ?? 0);
      return isOrderLost ? ofSite : ofSite.slice(-1);
    });
  }

  /** Whether a name may be said to be ok: each site that has it said that it is up, and not too long ago. */
  function isKnownToBeUp(name: string, allowedMs: number): boolean {
    const isUp = ({ states, sentMs }: Sent) => states.get(name) === "up" && nowMs - sentMs <= allowedMs;
    const ofSites = sayings();
    return (
      ofSites.flat().some(isUp) &&
      ofSites.every(
        (ofSite) => ofSite.length === 0 || ofSite.some((said) => !said.states.has(name) || isUp(said)),
      )
    );
  }

  function isUpAndFresh({ states, sentMs }: Sent): boolean {
    return nowMs - sentMs <= ALLOWED_MS + SLACK_MS && [...states.values()].every((state) => state === "up");
  }

  async function check(): Promise<void> {
    const reader = await askReaderAt(redis, nowMs);
    const told = new Map<string, string>([
      ...Object.entries(reader.services).map(([name, status]) => [`service ${name}`, status] as const),
      ...Object.entries(reader.queues).map(([name, status]) => [`queue ${name}`, status] as const),
    ]);
    const allowedMs = ALLOWED_MS + SLACK_MS;
    const readerAllowedMs = allowedMs + (subscribers ? 0 : OK_OUTLIVES_MS);
    for (const [name, status] of told) {
      if (status === "OK")
        expect(isKnownToBeUp(name, readerAllowedMs), `the reader says ${name} is ok`).toBe(true);
    }
    if (!subscribers) return;

    const current = verdict(await plain.loadAll(), nowMs, strict, connected);
    const reported = [...new Set(sayings().flatMap((ofSite) => [...(ofSite.at(-1)?.states.keys() ?? [])]))];
    const isAllUp =
      reported.length > 0 && sayings().every((ofSite) => ofSite.length === 0 || ofSite.some(isUpAndFresh));
    if (current.isHealthy) expect(isAllUp, "/health says that all is well").toBe(true);
    const body = heartbeatBody(current, ["tsd"]);
    const { http, status } = reader;
    expect({ http: body.status === "ALL_OK" ? 200 : 503, status: body.status }).toEqual({ http, status });

    const isCalm = nowMs - disturbedMs > CALM_MS && !isBlocked && publishers.every(({ isAlive }) => isAlive);
    if (!isCalm) return;
    for (const name of reported) {
      const isLongUp = [0, 1].every((site) => nowMs - (upSinceMs.get(`${site} ${name}`) ?? 0) > CALM_MS);
      if (isLongUp) expect(told.get(name), `${name} has long been up and fresh`).toBe("OK");
    }
    expect([...told.keys()].toSorted(), "what is told of").toEqual(reported.toSorted());
    if (isAllUp) expect(current.problems).toEqual([]);
  }

  return act;
}
