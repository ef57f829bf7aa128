import { onFreePorts } from "./free-ports.ts";
import { untilReady } from "./ready.ts";
import { redisStarter, type RedisServer } from "./redis-servers.ts";
import { started, type Started } from "./started.ts";

export const PRIMARY_NAME = "heartbeats";

export interface RedisWithSentinel {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly sentinel: RedisServer;
  /** As `kill -9` does. */
  killPrimary(): Promise<void>;
}

/**
 * A primary and a replica that has its data, both with the password, and one sentinel without it that decides alone, half
 * a second after a failure.
 */
export async function startRedisWithSentinel(password?: string): Promise<Started<RedisWithSentinel>> {
  const start = await redisStarter();
  return await onFreePorts(3, async ([primaryPort = 0, replicaPort = 0, sentinelPort = 0]) => {
    await using releases = new AsyncDisposableStack();
    const inMemory = ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"];
    const primary = await start({ port: primaryPort, args: inMemory, password });
    releases.defer(primary.stop);
    const replicaOf = ["--replicaof", `127.0.0.1 ${primaryPort}`];
    const replica = await start({ port: replicaPort, args: [...inMemory, ...replicaOf], password });
    releases.defer(replica.stop);
    await untilReady({
      name: "redis replica",
      check: () => expectInfo(replica.address, "replication", "master_link_status:up"),
      signal: never,
      withinMs: 20_000,
    });

    const sentinel = await start({ port: sentinelPort, args: ["--sentinel"] });
    releases.defer(sentinel.stop);
    const { command } = sentinel.address;
    await command("SENTINEL", "MONITOR", PRIMARY_NAME, "127.0.0.1", primaryPort, 1);
    if (password !== undefined) await command("SENTINEL", "SET", PRIMARY_NAME, "auth-pass", password);
    await command("SENTINEL", "SET", PRIMARY_NAME, "down-after-milliseconds", 500);
    await command("SENTINEL", "SET", PRIMARY_NAME, "failover-timeout", 5_000);
    await untilReady({
      name: "redis sentinel",
      check: () => expectInfo(sentinel.address, "sentinel", "slaves=1"),
      signal: never,
      withinMs: 20_000,
    });
    return started(
      {
        primary: primary.address,
        replica: replica.address,
        sentinel: sentinel.address,
        killPrimary: primary.stop,
      },
      releases,
    );
  });
}

const never = new AbortController().signal;

async function expectInfo({ command }: RedisServer, section: string, expected: string): Promise<void> {
  const info = String(await command("INFO", section));
  if (!info.includes(expected)) throw new Error(`INFO ${section} lacks ${expected}`);
}
