import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { onFreePorts } from "../../test/brokers/free-ports.ts";
import { startLocalRabbitmq } from "../../test/brokers/local-rabbitmq.ts";
import { findOrInstall } from "../../test/brokers/local-servers.ts";
import { type Say, withProgress } from "../../test/brokers/progress.ts";
import { checkRedis, untilReady } from "../../test/brokers/ready.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../../test/brokers/server-process.ts";
import { REDIS_ARGUMENTS, type Server, type Servers } from "./server.ts";

const CONTROL_WITHIN_MS = 60_000;

/** Private instances of the machine's own servers. */
export async function localServers(say: Say, signal: AbortSignal): Promise<Servers> {
  await using releases = new AsyncDisposableStack();
  const { redisServer, ...programs } = await findOrInstall(say);
  const rabbitmq = await withProgress("starting RabbitMQ", say, () => startLocalRabbitmq(programs, signal));
  releases.defer(rabbitmq.stop);
  const redis = await localRedis(redisServer, signal);
  releases.defer(redis.stop);
  const owned = releases.move();
  // The one on the PATH changes to the user rabbitmq first; the true one lies beside the server.
  const control = join(dirname(programs.rabbitmqServer), "rabbitmqctl");
  return {
    source: "local",
    rabbitmq: {
      ...rabbitmq,
      async control(...args) {
        await promisify(execFile)(control, args, { env: rabbitmq.env, timeout: CONTROL_WITHIN_MS });
      },
    },
    redis,
    stop: async () => await owned.disposeAsync(),
  };
}

async function localRedis(
  program: string,
  signal: AbortSignal,
): Promise<Server<{ host: string; port: number }> & { stop(): Promise<void> }> {
  return await onFreePorts(1, async ([port = 0]) => {
    await using releases = new AsyncDisposableStack();
    const folder = await temporaryFolder();
    releases.defer(folder.remove);
    const address = { host: "127.0.0.1", port };
    const place = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder.path];
    const start = () =>
      startServer({ name: "redis-server", program, args: [...place, ...REDIS_ARGUMENTS], env: {} }, folder);
    const ready = ({ pid, failed, logTail }: ServerProcess) =>
      untilReady({ name: "redis", check: () => checkRedis(address, pid), signal, failed, logTail });
    let server = start();
    releases.defer(() => server.stop());
    await ready(server);
    const owned = releases.move();
    return {
      address,
      kill: () => server.stop(),
      async restart() {
        server = start();
        await ready(server);
      },
      stop: async () => await owned.disposeAsync(),
    };
  });
}
