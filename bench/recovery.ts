// How long after the port of a broker, or of a Redis, opens again both services are back. Needs the bundles and the
// machine's RabbitMQ and Redis: `node bench/recovery.ts [ROUNDS [broker|redis]]`. Exit code 1 when one time is longer than
// it may be.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { askHealth } from "../demo/health.ts";
import { publisher, subscriber } from "../demo/services.ts";
import { freePorts } from "../test/brokers/free-ports.ts";
import { startLocalRabbitmq } from "../test/brokers/local-rabbitmq.ts";
import { findOrInstall } from "../test/brokers/local-servers.ts";
import { redisStarter } from "../test/brokers/redis-servers.ts";
import { until, untilOpen } from "./waiting.ts";

interface Restarted {
  /** Date.now() when its port accepted a connection again. */
  readonly openedAtMs: number;
  /** Resolves when it may be ended again. */
  readonly ready: Promise<void>;
}

interface Fault {
  readonly what: string;
  readonly withinMs: number;
  /** Ends and starts it, and resolves as soon as its port is open. */
  readonly happen: () => Promise<Restarted>;
  /** Whether all is as before, for a port that opened at that time. */
  readonly isOver: (openedAtMs: number) => Promise<boolean>;
}

const [rounds = "5", only = ""] = process.argv.slice(2);
/** So that the back-off of whoever waits may be anywhere when the port opens. */
const MAX_AWAY_MS = 4_000;
/** What has lasted so long is no longer part of the outage before. */
const QUIET_MS = 2_500;
const INTERVAL_S = 2;
const SILENT_AFTER_MS = 2.5 * INTERVAL_S * 1000;

await using releases = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), "bench-recovery-"));
releases.defer(() => rmSync(folder, { recursive: true, force: true }));

const never = new AbortController().signal;
const rabbitmq = await startLocalRabbitmq(await findOrInstall(console.error), never);
releases.defer(rabbitmq.stop);
const [redisPort = 0, httpPort = 0] = await freePorts(2);
const startRedis = await redisStarter();
const redisOptions = { port: redisPort, args: ["--dir", folder, "--appendonly", "yes", "--save", ""] };
let redis = await startRedis(redisOptions);
releases.defer(() => redis.stop());

const redisAddress = { ...redis.address, databases: 16 };
const brokers = {
  rabbitmq: rabbitmq.address,
  redis: redisAddress,
  source: "local" as const,
  stop: rabbitmq.stop,
};
const settings = { publishIntervalS: INTERVAL_S, probeIntervalS: 10, httpPort };
const watched = { heartbeat: { hosts: [{ host: "127.0.0.1", port: httpPort, name: "subscriber" }] } };
for (const service of [
  publisher(brokers, watched, settings, folder),
  subscriber(brokers, settings, folder),
]) {
  await service.start();
  releases.defer(service.kill);
}

const health = () => askHealth(`http://127.0.0.1:${httpPort}/health`);

/** When the newest heartbeat that is in the state was sent; undefined while /health is not 200. */
async function newsAtMs(): Promise<number | undefined> {
  const answer = await health();
  const site = answer?.sites[0];
  return answer?.code === 200 && site ? Date.parse(site.deadline) - SILENT_AFTER_MS : undefined;
}

const isWell = async () => (await newsAtMs()) !== undefined;

async function restartBroker(): Promise<Restarted> {
  await rabbitmq.kill();
  const ready = rabbitmq.restart();
  return { openedAtMs: await untilOpen(rabbitmq.address.amqpPort), ready };
}

async function restartRedis(forget = () => {}): Promise<Restarted> {
  await redis.stop();
  forget();
  await until(async () => !(await isWell()));
  await sleep(Math.random() * MAX_AWAY_MS);
  const ready = startRedis(redisOptions).then((started) => void (redis = started));
  return { openedAtMs: await untilOpen(redisPort), ready };
}

const allFaults: readonly Fault[] = [
  {
    what: "broker restarted: a heartbeat that was sent since is in the state",
    withinMs: 2_000,
    happen: restartBroker,
    isOver: async (openedAtMs) => ((await newsAtMs()) ?? 0) > openedAtMs,
  },
  {
    what: "redis restarted: /health is 200",
    withinMs: 1_000,
    happen: () => restartRedis(),
    isOver: isWell,
  },
  {
    what: "redis restarted without its data: /health is 200 as before",
    withinMs: 1_000,
    happen: () => restartRedis(() => rmSync(join(folder, "appendonlydir"), { recursive: true })),
    isOver: isWell,
  },
];

const faults = allFaults.filter(({ what }) => what.startsWith(only));
await until(isWell);
const times = faults.map((): number[] => []);
for (let round = 0; round < Number(rounds); round += 1) {
  for (const [index, { what, happen, isOver }] of faults.entries()) {
    await sleep(QUIET_MS);
    const { openedAtMs, ready } = await happen();
    await until(() => isOver(openedAtMs));
    const tookMs = Date.now() - openedAtMs;
    times[index]?.push(tookMs);
    console.log(`${String(tookMs).padStart(6)} ms  ${what}`);
    await ready;
  }
}

console.log("\n   min median    max  promised");
for (const [index, { what, withinMs }] of faults.entries()) {
  const sorted = (times[index] ?? []).toSorted((a, b) => a - b);
  const shown = [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1), withinMs];
  console.log(`${shown.map((ms) => String(ms).padStart(6)).join(" ")}   ${what}`);
  if ((sorted.at(-1) ?? Infinity) > withinMs) process.exitCode = 1;
}
