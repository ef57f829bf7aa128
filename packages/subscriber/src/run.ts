import { setTimeout as sleep } from "node:timers/promises";
import { type BrokerSession, connectBroker } from "@pipeline-heartbeat/shared/broker.ts";
import { type Consumer, consumeInBatches } from "@pipeline-heartbeat/shared/consume.ts";
import { ConfigError, type Env } from "@pipeline-heartbeat/shared/config.ts";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import { runService, type Service } from "@pipeline-heartbeat/shared/service.ts";
import { readConfig } from "./config.ts";
import { buildApp } from "./http/app.ts";
import { intake } from "./intake.ts";
import { connectRedis } from "./redis/connection.ts";
import { redisStore } from "./redis/store.ts";
import { rememberingStore } from "./remember.ts";
import { runSweep } from "./sweep.ts";
import { verdict } from "./verdict.ts";

/** How often a connected subscriber looks whether the store is back before it consumes. */
const STORE_RETRY_MS = 250;

/** Runs the service until a signal. */
export async function runSubscriber(env: Env): Promise<void> {
  await runService({ name: "subscriber", logLevel: env["LOG_LEVEL"] }, (service) => subscribe(env, service));
}

async function subscribe(env: Env, { log, stopping, onStop }: Service): Promise<void> {
  const config = readConfig(env);
  const now = Date.now;

  const outage = outageLog("redis", log);
  const redis = connectRedis(config.redis, (problem) => outage.failed(problem));
  onStop(() => redis.disconnect());
  const { store, memory } = rememberingStore(redisStore(redis, config.store));

  const heartbeats = intake({
    store,
    rules: config.apply,
    defaultSite: config.defaultSite,
    now,
    log,
    outage,
  });
  const sweep = runSweep(
    {
      store,
      memory,
      expectedSites: config.verdict.expectedSites,
      now,
      log,
      outage,
      isHolding: () => heartbeats.isHolding,
    },
    stopping,
  );
  onStop(() => sweep);

  const app = buildApp({
    currentVerdict: async () => verdict(await store.loadAll(), now(), config.verdict),
    unreadyReasons,
    now,
  });
  onStop(() => app.close());
  await app.listen(config.http).catch((error: unknown) => {
    const { host, port } = config.http;
    throw new ConfigError("configuration error", [
      `HTTP_HOST, HTTP_PORT: cannot listen at ${host}:${port} (${errorCode(error) ?? String(error)})`,
    ]);
  });
  log.info(config.http, "listening");

  let consumer: Consumer | undefined;
  const broker = connectBroker({
    settings: config.broker,
    topology: config.topology,
    connectionName: "pipeline-heartbeat subscriber",
    log,
    open: async (session) => {
      await untilStoreAnswers(session);
      consumer = await consumeInBatches(session, config.topology.queue, heartbeats.take);
    },
    release: async () => await consumer?.drain(),
  });
  onStop(() => broker.close());

  /** Messages are better off in the queue than in our hands. */
  async function untilStoreAnswers({ lost }: BrokerSession): Promise<void> {
    const signal = AbortSignal.any([lost, stopping]);
    for (;;) {
      signal.throwIfAborted();
      const isThere = await store.ping().then(
        () => true,
        () => false, // the connection's own listener tells why
      );
      if (isThere) return;
      await sleep(STORE_RETRY_MS, undefined, { signal });
    }
  }

  async function unreadyReasons(): Promise<string[]> {
    const reasons = [];
    if (broker.connectedAtMs === undefined) reasons.push("the broker is not connected");
    await store
      .ping()
      .catch((error: unknown) =>
        reasons.push(`redis: ${error instanceof Error ? error.message : String(error)}`),
      );
    return reasons;
  }
}
