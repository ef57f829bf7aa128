import { REDIS_DATABASES, type RedisAddress } from "./addresses.ts";
import { onFreePorts } from "./free-ports.ts";
import { checkRedis, untilReady } from "./ready.ts";
import { startServer, temporaryFolder } from "./server-process.ts";
import { started, type Started } from "./started.ts";

/** Starts a Redis that keeps nothing on disk and reads no configuration of the machine's. */
export async function startLocalRedis(program: string, signal: AbortSignal): Promise<Started<RedisAddress>> {
  return onFreePorts(1, async ([port = 0]) => {
    await using releases = new AsyncDisposableStack();
    const folder = await temporaryFolder();
    releases.defer(folder.remove);
    signal.throwIfAborted();

    const settings = {
      port,
      bind: "127.0.0.1",
      save: "",
      appendonly: "no",
      databases: REDIS_DATABASES,
      dir: folder.path,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const server = startServer({ name: "redis-server", program, args, env: {} }, folder);
    releases.defer(server.stop);

    const address = { host: "127.0.0.1", port, databases: REDIS_DATABASES };
    const check = () => checkRedis(address, server.pid);
    await untilReady({ name: "redis", check, signal, failed: server.failed, logTail: server.logTail });
    return started(address, releases);
  });
}
