import { copyFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findOrInstall } from "../../test/brokers/local-servers.ts";
import { startLocalRedis } from "../../test/brokers/local-redis.ts";
import { freePorts } from "../../test/brokers/free-ports.ts";
import { temporaryFolder } from "../../test/brokers/server-process.ts";
import { createAuthority } from "../../test/certificates.ts";
import { type Proxy, startProxy } from "../../test/proxy.ts";
import { startPostgres } from "../../test/servers/postgres.ts";
import { localServers } from "../servers/local.ts";
import type { Servers } from "../servers/server.ts";
import { type ServiceProcess, serviceProcess } from "../service-process.ts";
import { amqpUrl, EXCHANGE, QUEUE, type ThirdParty, thirdParty } from "../third-party.ts";
import type { Books } from "./books.ts";
import { makeBrokerObjects } from "./broker-objects.ts";
import { type Configuration, configurationOf } from "./configuration.ts";
import { saidIn } from "./listen.ts";
import { grpcPeer, httpPeer, type Peer, tcpPeer, tlsPeer } from "./peers.ts";
import { QUEUES, workerOf } from "./queues.ts";
import { type Worker, workerProcess } from "./worker-process.ts";

export const SITE = "restless";

export interface Timing {
  readonly probeIntervalS: number;
  readonly publishIntervalS: number;
  readonly stalledAfterS: number;
}

/** A pipeline that is well, the services that watch it, and all that they need. */
export interface Pipeline {
  readonly servers: Servers;
  readonly third: ThirdParty;
  readonly workers: readonly Worker[];
  readonly peers: readonly Peer[];
  readonly publisher: ServiceProcess;
  readonly subscriber: ServiceProcess;
  /** Between the publisher and the management API. */
  readonly management: Proxy;
  readonly configuration: Configuration;
  readonly timing: Timing;
  /** Writes publisher_config.json: in its place, or as another file that takes its place. */
  configure(configuration: Configuration, how: "written over" | "swapped"): void;
}

const POSTGRES_LOGIN = { user: "monitor", password: "look-only", database: "postgres" } as const;

export interface PipelineOptions {
  readonly timing: Timing;
  readonly logFolder: string;
  readonly say: (line: string) => void;
}

export async function startPipeline(
  { timing, logFolder, say }: PipelineOptions,
  books: Pick<Books, "heard">,
  releases: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Pipeline> {
  const folder = await temporaryFolder();
  releases.defer(folder.remove);
  const servers = await localServers(say, signal);
  releases.defer(() => servers.stop());
  const { rabbitmq, redis } = servers;

  const third = await thirdParty(rabbitmq.address, ({ content }) => books.heard(saidIn(content), Date.now()));
  releases.defer(() => third.close());
  await makeBrokerObjects(rabbitmq.address, third);

  const databases = await startDatabases(folder.path, say, releases, signal);
  const authority = createAuthority(folder.path, { name: "authority" });
  const [tcp = 0, http = 0, tls = 0, grpc = 0, ...httpPorts] = await freePorts(6);
  const peers = [
    tcpPeer("inbox-port", tcp),
    httpPeer("download-api", http),
    tlsPeer("vault", tls, authority),
    grpcPeer("keys", grpc),
  ];
  releases.defer(() => Promise.all(peers.map((peer) => peer.stop())).then(() => {}));
  await Promise.all(peers.map((peer) => peer.start()));

  const workers = await startWorkers(amqpUrl(rabbitmq.address), folder.guard, releases);
  const configuration = configurationOf({
    ports: { tcp, http, tls, grpc, redis: databases.redisPort, postgres: databases.postgresPort },
    postgres: databases.login,
    caFile: authority.certPath,
    folder: folder.path,
    stalledAfterS: timing.stalledAfterS,
  });
  const configPath = join(folder.path, "publisher_config.json");
  function configure(next: Configuration, how: "written over" | "swapped"): void {
    const written = how === "swapped" ? `${configPath}.new` : configPath;
    writeFileSync(written, `${JSON.stringify(next, undefined, 2)}\n`);
    if (how === "swapped") renameSync(written, configPath);
  }
  configure(configuration, "written over");

  const management = await startProxy({ host: rabbitmq.address.host, port: rabbitmq.address.managementPort });
  releases.defer(() => management.close());

  function service(role: "publisher" | "subscriber", index: number, env: Readonly<Record<string, string>>) {
    const port = String(httpPorts[index]);
    const started = serviceProcess({
      name: role,
      role,
      url: `http://127.0.0.1:${port}`,
      proxies: { broker: undefined, redis: undefined, management: undefined },
      bundle: copyOf(role, folder.path),
      logFolder,
      guard: folder.guard,
      env: {
        RABBITMQ_HOST: rabbitmq.address.host,
        RABBITMQ_PORT: String(rabbitmq.address.amqpPort),
        RABBITMQ_USER: rabbitmq.address.user,
        RABBITMQ_PASS: rabbitmq.address.password,
        RABBITMQ_EXCHANGE: EXCHANGE,
        RABBITMQ_QUEUE: QUEUE,
        HTTP_HOST: "127.0.0.1",
        HTTP_PORT: port,
        ...env,
      },
    });
    releases.defer(() => started.end("SIGTERM"));
    return started;
  }

  const publisher = service("publisher", 0, {
    HEARTBEAT_SITE: SITE,
    HEARTBEAT_DETAIL: "text",
    RABBITMQ_MANAGEMENT_PORT: String(management.port),
    PUBLISHER_CONFIG_PATH: configPath,
    PUBLISH_INTERVAL: String(timing.publishIntervalS),
    PROBE_INTERVAL: String(timing.probeIntervalS),
    // Only there it tells of the failures that it rightly did not believe.
    LOG_LEVEL: "debug",
  });
  const subscriber = service("subscriber", 1, {
    REDIS_HOST: redis.address.host,
    REDIS_PORT: String(redis.address.port),
    EXPECTED_SITES: SITE,
  });
  return {
    servers,
    third,
    workers,
    peers,
    publisher,
    subscriber,
    management,
    configuration,
    timing,
    configure,
  };
}

/** Whoever builds meanwhile must not change what runs here. */
function copyOf(role: "publisher" | "subscriber", folder: string): string {
  const copy = join(folder, `${role}.mjs`);
  copyFileSync(fileURLToPath(new URL(`../../packages/${role}/dist/main.js`, import.meta.url)), copy);
  return copy;
}

/** What is looked at, and nobody else needs. */
async function startDatabases(
  folder: string,
  say: (line: string) => void,
  releases: AsyncDisposableStack,
  signal: AbortSignal,
) {
  const { redisServer } = await findOrInstall(say);
  const redis = await startLocalRedis(redisServer, signal);
  releases.defer(redis.stop);
  const { user, password, database } = POSTGRES_LOGIN;
  const postgres = await startPostgres({
    access: [`host ${database} ${user} 127.0.0.1/32 scram-sha-256`],
    statements: [`CREATE ROLE ${user} LOGIN PASSWORD '${password}';`],
  });
  releases.defer(postgres.stop);
  const passwordFile = join(folder, "postgres-password");
  writeFileSync(passwordFile, password, { mode: 0o600 });
  const login = { user, passwordFile, database };
  return { redisPort: redis.address.port, postgresPort: postgres.port, login };
}

async function startWorkers(
  url: string,
  guard: (pid: number) => void,
  releases: AsyncDisposableStack,
): Promise<Worker[]> {
  const workers = QUEUES.map(({ name: queue }) =>
    workerProcess({ name: workerOf(queue), queue, url, guard }),
  );
  releases.defer(() => Promise.all(workers.map((worker) => worker.kill())).then(() => {}));
  // Not all at once: a process takes a good part of a second to start.
  for (const worker of workers) await worker.start();
  return workers;
}
