import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Brokers } from "../test/brokers.ts";
import type { Part } from "./parts.ts";

/** A service in a process of its own, run from its built bundle. */
export interface Service extends Part {
  /** Ends it without a chance to say anything. */
  kill(): Promise<void>;
  /** The last lines of its log, for when something goes wrong. */
  logTail(): string;
}

export interface Settings {
  readonly publishIntervalS: number;
  readonly probeIntervalS: number;
  readonly httpPort: number;
}

const STOP_DEADLINE_MS = 6_000;
const TAIL_LINES = 15;

export function publisher(brokers: Brokers, config: object, settings: Settings, folder: string): Service {
  const configPath = join(folder, "publisher_config.json");
  writeFileSync(configPath, JSON.stringify(config, undefined, 2));
  return bundle("publisher", folder, {
    ...brokerVariables(brokers),
    RABBITMQ_MANAGEMENT_PORT: String(brokers.rabbitmq.managementPort),
    PUBLISHER_CONFIG_PATH: configPath,
    PUBLISH_INTERVAL: String(settings.publishIntervalS),
    PROBE_INTERVAL: String(settings.probeIntervalS),
    HEARTBEAT_SITE: "demo",
    HTTP_PORT: "0",
  });
}

export function subscriber(brokers: Brokers, settings: Settings, folder: string): Service {
  return bundle("subscriber", folder, {
    ...brokerVariables(brokers),
    REDIS_HOST: brokers.redis.host,
    REDIS_PORT: String(brokers.redis.port),
    HTTP_HOST: "127.0.0.1",
    HTTP_PORT: String(settings.httpPort),
  });
}

function brokerVariables({ rabbitmq }: Brokers) {
  return {
    RABBITMQ_HOST: rabbitmq.host,
    RABBITMQ_PORT: String(rabbitmq.amqpPort),
    RABBITMQ_USER: rabbitmq.user,
    RABBITMQ_PASS: rabbitmq.password,
    RABBITMQ_EXCHANGE: "heartbeat",
    RABBITMQ_QUEUE: "heartbeat",
  };
}

function bundle(name: string, folder: string, env: Record<string, string>): Service {
  const path = fileURLToPath(new URL(`../packages/${name}/dist/main.js`, import.meta.url));
  const logPath = join(folder, `${name}.log`);
  let child: ChildProcess | undefined;

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ended = child;
    child = undefined;
    if (!ended || ended.exitCode !== null || ended.signalCode !== null) return;
    const exited = once(ended, "exit");
    ended.kill(signal);
    const timer = setTimeout(() => ended.kill("SIGKILL"), STOP_DEADLINE_MS);
    await exited;
    clearTimeout(timer);
  }

  return {
    name,
    get isRunning() {
      return child !== undefined;
    },
    async start() {
      if (child) return;
      const log = openSync(logPath, "a");
      // In a process group of its own, so that a Ctrl-C at the terminal reaches the demo alone, which stops it in order.
      child = spawn(process.execPath, [path], { env, detached: true, stdio: ["ignore", log, log] });
      await once(child, "spawn");
    },
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
    logTail: () => readFileSync(logPath, "utf8").trimEnd().split("\n").slice(-TAIL_LINES).join("\n"),
  };
}
