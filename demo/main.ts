// The main job to look at: npm run demo, or npm run demo -- --once for the same as a story that checks itself.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts } from "../test/brokers/free-ports.ts";
import { startBrokers } from "../test/brokers.ts";
import { showLive } from "./live.ts";
import { startPipeline } from "./pipeline.ts";
import { publisher, subscriber } from "./services.ts";
import { playStory } from "./story.ts";

const isStory = process.argv.includes("--once");
const say = (line: string) => console.log(line);

const interrupted = new AbortController();
const interrupt = () => interrupted.abort(new Error("interrupted"));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);

try {
  const hasSucceeded = await run(interrupted.signal);
  process.exitCode = hasSucceeded ? 0 : 1;
} catch (error) {
  if (!interrupted.signal.aborted) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } else {
    process.exitCode = isStory ? 130 : 0;
  }
}

async function run(signal: AbortSignal): Promise<boolean> {
  await using releases = new AsyncDisposableStack();
  buildBundles();
  const folder = mkdtempSync(join(tmpdir(), "heartbeat-demo-"));
  releases.defer(() => rmSync(folder, { recursive: true, force: true }));

  const brokers = await startBrokers({ fromEnvironment: false, say, signal });
  releases.defer(() => brokers.stop());
  const pipeline = await startPipeline(brokers);
  releases.defer(() => pipeline.stop());
  signal.throwIfAborted();

  const [httpPort = 0] = await freePorts(1);
  const settings = {
    publishIntervalS: isStory ? 2 : 5,
    probeIntervalS: isStory ? 1 : 2,
    httpPort,
  };
  const inside = publisher(brokers, pipeline.publisherConfig, settings, folder);
  const outside = subscriber(brokers, settings, folder);
  releases.defer(() => Promise.all([inside.stop(), outside.stop()]).then(() => {}));
  await Promise.all([inside.start(), outside.start()]);

  const url = `http://127.0.0.1:${settings.httpPort}/health`;
  if (isStory) {
    const worker = pipeline.parts.find(({ name }) => name === "sda-ingest");
    if (!worker) throw new Error("the example pipeline has no worker sda-ingest");
    return await playStory({ url, worker, publisher: inside, settings, say }, signal);
  }
  const { rabbitmq, redis } = brokers;
  const hints = [
    `RabbitMQ: http://${rabbitmq.host}:${rabbitmq.managementPort} (user ${rabbitmq.user}, password ${rabbitmq.password})`,
    `Redis: ${redis.host}:${redis.port}`,
    `logs: ${folder}`,
  ];
  await showLive({ url, parts: [...pipeline.parts, inside, outside], hints }, signal, interrupt);
  say("stopping …");
  return true;
}

function buildBundles(): void {
  const script = fileURLToPath(new URL("../tools/build.ts", import.meta.url));
  const { status } = spawnSync(process.execPath, [script], { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error("the bundles could not be built");
}
