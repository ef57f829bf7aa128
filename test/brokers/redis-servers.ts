import { engineAnswers } from "./container-engine.ts";
import { startRedisContainer } from "./containers.ts";
import { findProgram } from "./programs.ts";
import { checkRedis, untilReady } from "./ready.ts";
import { connectRedis } from "./redis-connection.ts";
import { startServer, temporaryFolder } from "./server-process.ts";
import { started, type Started } from "./started.ts";

export interface RedisServer {
  readonly host: string;
  readonly port: number;
  /** One command on a connection of its own. */
  command(name: string, ...args: (string | number)[]): Promise<unknown>;
}

/** Starts a `redis-server` on 127.0.0.1 with further arguments; stopping it is a `kill -9`. */
export type StartRedis = (port: number, args?: readonly string[]) => Promise<Started<RedisServer>>;

/** A sentinel and the node of a cluster want a file that they may write to. */
const SCRIPT = `: > "redis-$1.conf" && program=$0 && port=$1 && shift && exec "$program" "redis-$port.conf" "$@"`;
const never = new AbortController().signal;

/**
 * How servers are started that make up a cluster or have a sentinel: with the machine's `redis-server`, else in
 * containers. Rejects with what is needed when there is neither.
 */
export async function redisStarter(): Promise<StartRedis> {
  const forced = process.env["TEST_BROKERS"];
  const program = forced === "containers" ? undefined : await findProgram("redis-server");
  if (program !== undefined) return (port, args = []) => startProcess(program, port, args);
  if (forced !== "local" && (await engineAnswers(process.env))) {
    return (port, args = []) => startInContainer(port, args);
  }
  throw new Error(
    "a Redis Cluster and a Redis with a sentinel are needed here, whatever TEST_REDIS_HOST says: install redis-server " +
      '7 or later (Debian, Ubuntu: "sudo apt-get install redis-server"), or start a container engine',
  );
}

async function startProcess(program: string, port: number, args: readonly string[]) {
  await using releases = new AsyncDisposableStack();
  const folder = await temporaryFolder();
  releases.defer(folder.remove);
  const command = ["-c", SCRIPT, program, String(port), ...settings(port), ...args];
  const server = startServer({ name: "redis-server", program: "/bin/sh", args: command, env: {} }, folder);
  releases.defer(server.stop);
  const check = () => checkRedis({ host: "127.0.0.1", port }, server.pid);
  await untilReady({
    name: "redis",
    check,
    signal: never,
    failed: server.failed,
    logTail: server.logTail,
    withinMs: 10_000,
  });
  return started(redisServer(port), releases);
}

async function startInContainer(port: number, args: readonly string[]) {
  await using releases = new AsyncDisposableStack();
  releases.defer(
    await startRedisContainer(["-c", SCRIPT, "redis-server", String(port), ...settings(port), ...args]),
  );
  const check = () => checkRedis({ host: "127.0.0.1", port });
  await untilReady({ name: "redis in a container", check, signal: never, withinMs: 30_000 });
  return started(redisServer(port), releases);
}

function settings(port: number): string[] {
  return ["--port", String(port), "--bind", "127.0.0.1"];
}

function redisServer(port: number): RedisServer {
  const address = { host: "127.0.0.1", port };
  return {
    ...address,
    async command(name, ...args) {
      const redis = await connectRedis(address);
      try {
        return await redis.command(name, ...args);
      } finally {
        redis.close();
      }
    },
  };
}
