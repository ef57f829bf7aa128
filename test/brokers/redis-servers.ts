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

interface ServerOptions {
  readonly port: number;
  /** Further arguments of `redis-server`. */
  readonly args?: readonly string[];
  readonly password?: string | undefined;
}

/** Starts a `redis-server` on 127.0.0.1; stopping it is a `kill -9`. */
type StartRedis = (options: ServerOptions) => Promise<Started<RedisServer>>;

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
  if (program !== undefined) return (options) => startProcess(program, options);
  if (forced !== "local" && (await engineAnswers(process.env))) {
    return startInContainer;
  }
  throw new Error(
    "a Redis Cluster and a Redis with a sentinel are needed here, whatever TEST_REDIS_HOST says: install redis-server " +
      '7 or later (Debian, Ubuntu: "sudo apt-get install redis-server"), or start a container engine',
  );
}

async function startProcess(program: string, options: ServerOptions) {
  await using releases = new AsyncDisposableStack();
  const folder = await temporaryFolder();
  releases.defer(folder.remove);
  const args = shellArguments(program, options);
  const server = startServer({ name: "redis-server", program: "/bin/sh", args, env: {} }, folder);
  releases.defer(server.stop);
  const check = () => checkRedis(addressOf(options), server.pid);
  await untilReady({
    name: "redis",
    check,
    signal: never,
    failed: server.failed,
    logTail: server.logTail,
    withinMs: 10_000,
  });
  return started(redisServer(options), releases);
}

async function startInContainer(options: ServerOptions) {
  await using releases = new AsyncDisposableStack();
  releases.defer(await startRedisContainer(shellArguments("redis-server", options)));
  const check = () => checkRedis(addressOf(options));
  await untilReady({ name: "redis in a container", check, signal: never, withinMs: 30_000 });
  return started(redisServer(options), releases);
}

function shellArguments(program: string, { port, args = [], password }: ServerOptions): string[] {
  const secret = password === undefined ? [] : ["--requirepass", password, "--masterauth", password];
  const settings = ["--port", String(port), "--bind", "127.0.0.1", ...secret];
  return ["-c", SCRIPT, program, String(port), ...settings, ...args];
}

function addressOf({ port, password }: ServerOptions) {
  return { host: "127.0.0.1", port, password };
}

function redisServer(options: ServerOptions): RedisServer {
  return {
    host: "127.0.0.1",
    port: options.port,
    async command(name, ...args) {
      const redis = await connectRedis(addressOf(options));
      try {
        return await redis.command(name, ...args);
      } finally {
        redis.close();
      }
    },
  };
}
