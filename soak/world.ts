import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { managementHeaders, managementUrl } from "../test/brokers/addresses.ts";
import { freePorts } from "../test/brokers/free-ports.ts";
import { temporaryFolder } from "../test/brokers/server-process.ts";
import { startProxy } from "../test/proxy.ts";
import type { WatchedComponent } from "./invariants/health.ts";
import { makeSiteKey, type SiteKey } from "./keys.ts";
import { type Ledger, startLedger } from "./ledger.ts";
import type { Part } from "./parts.ts";
import { type RedisWatch, redisWatch } from "./redis-watch.ts";
import type { Servers } from "./servers/server.ts";
import { type ServiceProcess, serviceProcess } from "./service-process.ts";
import {
  LEDGER_SITE,
  makeSites,
  PROBE_INTERVAL_S,
  PROBE_TIMEOUT_S,
  PUBLISH_INTERVAL_S,
  SILENCE_FACTOR,
  SITES,
} from "./sites.ts";
import { type Tapped, tapped } from "./tapped.ts";
import { amqpUrl, EXCHANGE, QUEUE, type ThirdParty, thirdParty } from "./third-party.ts";

/** All that takes part: two sites with a publisher each, one without, two subscribers on one queue and one Redis. */
export interface World {
  readonly servers: Servers;
  readonly third: ThirdParty;
  readonly watch: RedisWatch;
  readonly heard: Tapped;
  readonly ledger: Ledger;
  /** By site. */
  readonly keys: ReadonlyMap<string, SiteKey>;
  readonly parts: readonly Part[];
  readonly components: readonly WatchedComponent[];
  readonly publishers: readonly ServiceProcess[];
  readonly subscribers: readonly ServiceProcess[];
  readonly services: readonly ServiceProcess[];
  /** These may be stopped and killed; the others live as long as the soak, so that their memory tells something. */
  readonly mortal: Readonly<Record<"publisher" | "subscriber", ServiceProcess>>;
  isReady(service: ServiceProcess): Promise<boolean>;
  /** Messages in the queue of the heartbeats and in hands, as the statistics have it: up to five seconds late. */
  countQueued(): Promise<number>;
  /** Takes everything out of Redis. What it held until then is known here. */
  emptyRedis(): Promise<void>;
}

const ANSWER_WITHIN_MS = 3_000;

export async function startWorld(
  servers: Servers,
  logFolder: string,
  releases: AsyncDisposableStack,
): Promise<World> {
  const folder = await temporaryFolder();
  releases.defer(folder.remove);
  const { rabbitmq, redis } = servers;

  const heard = tapped();
  const third = await thirdParty(rabbitmq.address, heard.hear);
  releases.defer(() => third.close());
  const watch = redisWatch(redis.address, SITES);

  const bySite = await makeSites(amqpUrl(rabbitmq.address));
  const parts = bySite.flatMap((site) => site.parts);
  releases.defer(() => Promise.all(parts.map((part) => part.stop())).then(() => {}));
  await Promise.all(parts.map((part) => part.start()));

  const bundles = {
    publisher: copyOf("publisher", folder.path),
    subscriber: copyOf("subscriber", folder.path),
  };
  const keys = new Map<string, SiteKey>();
  for (const site of SITES) keys.set(site, await makeSiteKey(bundles.publisher, site, folder.path));

  const ledgerKey = keys.get(LEDGER_SITE);
  if (!ledgerKey) throw new Error("the ledger has no key");
  const ledger = startLedger(LEDGER_SITE, ledgerKey, third);
  releases.defer(() => ledger.stop());

  async function service(
    role: "publisher" | "subscriber",
    name: string,
    env: Readonly<Record<string, string>>,
  ) {
    const proxy = async (port: number) => {
      const started = await startProxy({ host: rabbitmq.address.host, port });
      releases.defer(() => started.close());
      return started;
    };
    const broker = await proxy(rabbitmq.address.amqpPort);
    const management = role === "publisher" ? await proxy(rabbitmq.address.managementPort) : undefined;
    const store = role === "subscriber" ? await proxy(redis.address.port) : undefined;
    const [httpPort = 0] = await freePorts(1);
    const started = serviceProcess({
      name,
      role,
      url: `http://127.0.0.1:${httpPort}`,
      proxies: { broker, redis: store, management },
      bundle: bundles[role],
      logFolder,
      guard: folder.guard,
      env: {
        RABBITMQ_HOST: "127.0.0.1",
        RABBITMQ_PORT: String(broker.port),
        RABBITMQ_USER: rabbitmq.address.user,
        RABBITMQ_PASS: rabbitmq.address.password,
        RABBITMQ_EXCHANGE: EXCHANGE,
        RABBITMQ_QUEUE: QUEUE,
        HTTP_HOST: "127.0.0.1",
        HTTP_PORT: String(httpPort),
        LOG_LEVEL: process.env["LOG_LEVEL"] ?? "info",
        ...(management && { RABBITMQ_MANAGEMENT_PORT: String(management.port) }),
        ...(store && { REDIS_HOST: "127.0.0.1", REDIS_PORT: String(store.port) }),
        ...env,
      },
    });
    releases.defer(() => started.end("SIGTERM"));
    return started;
  }

  const publishers = await Promise.all(
    bySite.map(({ site, config }) => {
      const path = join(folder.path, `${site}.json`);
      writeFileSync(path, JSON.stringify(config));
      return service("publisher", `publisher-${site}`, {
        HEARTBEAT_SITE: site,
        HEARTBEAT_SIGNING_KEY_FILE: keys.get(site)?.file ?? "",
        HEARTBEAT_SIGNING_KEY_ID: keys.get(site)?.id ?? "",
        PUBLISHER_CONFIG_PATH: path,
        PUBLISH_INTERVAL: String(PUBLISH_INTERVAL_S),
        PROBE_INTERVAL: String(PROBE_INTERVAL_S),
        PROBE_TIMEOUT: String(PROBE_TIMEOUT_S),
      });
    }),
  );
  const subscribers = await Promise.all(
    ["a", "b"].map((name) =>
      service("subscriber", `subscriber-${name}`, {
        HEARTBEAT_VERIFY_KEYS: [...keys.values()].map(({ verifyKey }) => verifyKey).join(","),
        EXPECTED_SITES: SITES.join(","),
        SILENCE_FACTOR: String(SILENCE_FACTOR),
      }),
    ),
  );
  const [, publisher] = publishers;
  const [, subscriber] = subscribers;
  if (!publisher || !subscriber) throw new Error("there are to be two of each");

  return {
    servers,
    third,
    watch,
    heard,
    ledger,
    keys,
    parts,
    components: bySite.flatMap((site) => site.components),
    publishers,
    subscribers,
    services: [...publishers, ...subscribers],
    mortal: { publisher, subscriber },
    async isReady({ url }) {
      const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
      return await fetch(`${url}/readyz`, { signal }).then(
        (response) => response.body?.cancel().then(() => response.status === 200) ?? false,
        () => false,
      );
    },
    async countQueued() {
      const url = managementUrl(rabbitmq.address, `queues/%2F/${QUEUE}`);
      const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
      const response = await fetch(url, { headers: managementHeaders(rabbitmq.address), signal });
      const { messages }: { messages?: number } = JSON.parse(await response.text());
      return messages ?? 0;
    },
    async emptyRedis() {
      await watch.empty();
      // What is repeated from here on is of the time after: Redis cannot know any more what it had.
      third.forgetHeard();
    },
  };
}

/** Whoever builds meanwhile must not change what runs here. */
function copyOf(role: "publisher" | "subscriber", folder: string): string {
  const copy = join(folder, `${role}.mjs`);
  copyFileSync(fileURLToPath(new URL(`../packages/${role}/dist/main.js`, import.meta.url)), copy);
  return copy;
}
