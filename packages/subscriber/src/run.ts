import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { type Broker, connectBroker } from "@pipeline-heartbeat/shared/broker.ts";
import { type Consumer, consumeInBatches } from "@pipeline-heartbeat/shared/consume.ts";
import { ConfigError, type Env } from "@pipeline-heartbeat/shared/config.ts";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import { runService, type Service } from "@pipeline-heartbeat/shared/service.ts";
import { readConfig } from "./config.ts";
import { uncrowdedStore } from "./crowd.ts";
import { buildApp } from "./http/app.ts";
import { intake } from "./intake.ts";
import { ownClock } from "./own-clock.ts";
import { connectRedis } from "./redis/connection.ts";
import { redisStore } from "./redis/store.ts";
import { redisName } from "./redis-config.ts";
import { rememberingStore } from "./remember.ts";
import type { AllSites, Store } from "./store.ts";
import { storeTrouble } from "./store-trouble.ts";
import { runSweep } from "./sweep.ts";
import { verdict } from "./verdict.ts";

/** How often a connected subscriber looks whether the store is back before it consumes. */
const STORE_RETRY_MS = 250;
/** How long no silence is written while the broker has not been reached yet. */
const FIRST_CONNECT_MS = 30_000;
/** Longer than from one try to store what is in hand to the end of the next one. */
const IN_HAND_MS = 3_000;

/** Runs the service until a signal. */
export async function runSubscriber(env: Env, version: string): Promise<void> {
  // In a flood V8 would let the space for what is young grow to a hundred megabytes, and keep them.
  setFlagsFromString("--semi-space-growth-factor=1");
  await runService({ name: "subscriber", logLevel: env["LOG_LEVEL"] }, (service) =>
    subscribe(env, version, service),
  );
}

async function subscribe(env: Env, version: string, { log, stopping, onStop }: Service): Promise<void> {
  const config = readConfig(env);
  for (const warning of config.warnings) log.warn({ warning }, "configuration warning");
  const now = Date.now;

  const outage = outageLog("redis", log.child({ redis: redisName(config.redis.servers) }));
  const redis = connectRedis(config.redis, {
    away: (problem) => outage.failed(problem),
    nodeAway: (problem) => outage.isOn && outage.failed(problem),
  });
  onStop(() => redis.disconnect());
  const { store: whole, memory } = rememberingStore(redisStore(redis, config.store));
  const store = uncrowdedStore(whole, memory.sites, config.maxComponents);

  const clock = ownClock(now, () => performance.now());
  const { apply: rules, defaultSite, verify } = config;
  const heartbeats = intake({ store, rules, defaultSite, verify, clockSetAtMs: clock.setAtMs, log, outage });

  let consumer: Consumer | undefined;
  /** performance.now() when the last session began to consume. */
  let consumingSinceMs = 0;
  const broker = connectBroker({
    settings: config.broker,
    topology: config.topology,
    connectionName: "pipeline-heartbeat subscriber",
    log,
    open: async (session) => {
      consumer = undefined;
      await untilStoreTakesWrites(store, AbortSignal.any([session.lost, stopping]));
      consumer = await consumeInBatches(session, config.topology.queue, heartbeats.take);
      consumingSinceMs = performance.now();
    },
    release: async () => await consumer?.drain(),
  });
  onStop(() => broker.close());

  /** At the start the broker may hold what came while we were away: for as long as it takes to connect. */
  const isBacklogLeft = () =>
    broker.awaySinceMs === undefined
      ? (consumer?.isCatchingUp ?? true)
      : broker.awaySinceMs === 0 && performance.now() < FIRST_CONNECT_MS;
  /** What could not be stored a moment ago may still be in our hands, and ends a silence as what waits in the queue does. */
  const isCatchingUp = () => isBacklogLeft() || performance.now() - heartbeats.lastFailedMs < IN_HAND_MS;

  const { expectedSites } = config.verdict;
  /** What could not be stored went back to the queue, and is made up for when that has been taken in, by whomever. */
  const stuckProblem = () => {
    const { failure } = heartbeats;
    const isConsuming = broker.awaySinceMs === undefined && !isBacklogLeft();
    const isMadeUpFor = failure && failure.atMs < consumingSinceMs && isConsuming;
    return isMadeUpFor ? undefined : failure?.problem;
  };
  const isStoreStuck = () => stuckProblem() !== undefined;
  let sweepProblem: string | undefined;
  const sweep = runSweep(
    {
      store,
      memory,
      expectedSites,
      defaultSite,
      now,
      clockSetBackAtMs: clock.setBackAtMs,
      log,
      outage,
      isStoreStuck,
      isCatchingUp,
    },
    stopping,
    (problem) => (sweepProblem = problem),
  );
  onStop(() => sweep);

  const app = buildApp({
    currentVerdict: async () => {
      // Before it is read: what comes meanwhile may be in one of them only.
      const known = [...memory.sites.keys()];
      const [stored, writeProblem] = await Promise.all([store.loadAll(), problemOf(store.ping())]);
      const problem = stuckProblem() ?? writeProblem;
      const view = {
        brokerAwaySinceMs: broker.awaySinceMs,
        isCatchingUp: isCatchingUp(),
        storeTrouble: problem === undefined ? undefined : storeTrouble(problem),
      };
      const current = verdict(withUnlisted(stored, known), now(), config.verdict, view);
      return { ...current, warnings: [...current.warnings, ...heartbeats.rejections.warnings(now())] };
    },
    unreadyReasons: () => unreadyReasons(broker, store, stuckProblem() ?? sweepProblem),
    isBrokerConnected: () => broker.connectedAtMs !== undefined,
    rejectedCounts: heartbeats.rejections.counts,
    version,
    expectedSites,
    now,
    ...config.access,
    log,
  });
  onStop(() => app.close());
  await app.listen(config.http).catch((error: unknown) => {
    const { host, port } = config.http;
    throw new ConfigError("configuration error", [
      `HTTP_HOST, HTTP_PORT: cannot listen at ${host}:${port} (${errorCode(error) ?? String(error)})`,
    ]);
  });
  log.info({ ...config.http, https: config.access.tls !== undefined }, "listening");
}

/** What is known here and is not in the store is lost until it is written again. */
function withUnlisted({ records, lost }: AllSites, known: readonly string[]): AllSites {
  const listed = new Set([...records.map(({ site }) => site), ...lost]);
  return { records, lost: [...lost, ...known.filter((site) => !listed.has(site))] };
}

/** Messages are better off in the queue than in our hands. */
async function untilStoreTakesWrites(store: Store, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    // Why not is told by the sweep.
    if ((await problemOf(store.ping())) === undefined) return;
    await sleep(STORE_RETRY_MS, undefined, { signal });
  }
}

async function problemOf(work: Promise<void>): Promise<string | undefined> {
  return await work.then(() => undefined, errorText);
}

async function unreadyReasons(
  broker: Broker,
  store: Store,
  storeProblem: string | undefined,
): Promise<string[]> {
  const reasons: string[] = [];
  if (broker.connectedAtMs === undefined) reasons.push("the broker is not connected");
  // It may answer, and yet refuse what is asked of it.
  const problem = (await problemOf(store.ping())) ?? storeProblem;
  if (problem !== undefined) reasons.push(`redis: ${problem}`);
  return reasons;
}
