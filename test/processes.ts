import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, inject, onTestFinished, vi } from "vitest";
import { askHealth, type Health } from "../demo/health.ts";
import { freePorts } from "./brokers/free-ports.ts";
import { freshRedisDb, freshVhost } from "./fresh.ts";
import { runToEnd } from "./run-to-end.ts";

type Service = "publisher" | "subscriber";
type Env = Readonly<Record<string, string>>;

export interface Bundle {
  readonly child: ChildProcess;
  /** All that it has printed so far. */
  printed(): string;
  /** The exit code, once it has ended. */
  ended(): Promise<number | null>;
}

/** Runs the built bundle of a service in a process of its own, ended with the test. */
export function startBundle(service: Service, env: Env): Bundle {
  const child = spawn(process.execPath, [bundlePath(service)], { env, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  // Once the output is closed there is no more of it.
  const closed = once(child, "close");
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data: Buffer) => (output += data.toString()));
  return {
    child,
    printed: () => output,
    async ended() {
      await closed;
      return child.exitCode;
    },
  };
}

/** Runs a command of the built bundle to its end. */
export async function runCommand(service: Service, args: readonly string[], env: Env, input = "") {
  const started = (child: ChildProcess) => onTestFinished(() => void child.kill("SIGKILL"));
  return await runToEnd(process.execPath, [bundlePath(service), ...args], { env, input, started });
}

function bundlePath(service: Service): string {
  return fileURLToPath(new URL(`../packages/${service}/dist/main.js`, import.meta.url));
}

/** Variables of both services for a vhost, a database and an HTTP port that no other test uses. */
export async function freshEnvironment() {
  const { host, amqpPort, managementPort, user, password } = inject("rabbitmq");
  const { name: vhost, amqpUrl } = await freshVhost();
  const redisDb = await freshRedisDb();
  const [httpPort] = await freePorts(1);
  const broker = {
    RABBITMQ_HOST: host,
    RABBITMQ_PORT: String(amqpPort),
    RABBITMQ_USER: user,
    RABBITMQ_PASS: password,
    RABBITMQ_VHOST: vhost,
  };
  return {
    amqpUrl,
    redisDb,
    url: `http://127.0.0.1:${httpPort}`,
    publisher: { ...broker, RABBITMQ_MANAGEMENT_PORT: String(managementPort), HTTP_PORT: "0" },
    subscriber: {
      ...broker,
      REDIS_HOST: inject("redis").host,
      REDIS_PORT: String(inject("redis").port),
      REDIS_DB: String(redisDb),
      HTTP_HOST: "127.0.0.1",
      HTTP_PORT: String(httpPort),
    },
  };
}

/** A file with this content, gone with the test. */
export function temporaryFile(name: string, content: string | Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), "heartbeat-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** What /health must show within the time, counted from now. */
export async function expectHealth(
  url: string,
  withinMs: number,
  expected: (health: Health) => void,
): Promise<Health> {
  return await vi.waitFor(
    async () => {
      const health = await askHealth(`${url}/health`);
      if (!health) throw new Error("nobody answers at /health");
      expected(health);
      return health;
    },
    { timeout: withinMs, interval: 50 },
  );
}

export async function expectReady(url: string): Promise<void> {
  await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), { timeout: 10_000 });
}
