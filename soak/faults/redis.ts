import type { Fault, Making } from "./fault.ts";

const REDIS = ["redis"];
/** Discards what is sent to it: nobody listens there. */
const NOWHERE = ["127.0.0.1", 1] as const;

export const redisFaults: readonly Fault[] = [
  {
    name: "Redis killed",
    subjects: REDIS,
    certain: REDIS,
    async make({ world, wait, whileUnknowable }) {
      await world.servers.redis.kill();
      await whileUnknowable(world.subscribers, () => wait(1, 8));
      await world.servers.redis.restart();
    },
  },
  {
    name: "Redis killed and back at once",
    subjects: REDIS,
    async make({ world }) {
      await world.servers.redis.kill();
      await world.servers.redis.restart();
    },
  },
  commandFault("Redis made a read-only replica", ["REPLICAOF", ...NOWHERE], ["REPLICAOF", "NO", "ONE"]),
  commandFault("Redis out of memory", ["CONFIG", "SET", "maxmemory", 1], ["CONFIG", "SET", "maxmemory", 0]),
  {
    name: "Redis hanging",
    subjects: REDIS,
    certain: REDIS,
    async make({ world, random, whileUnknowable, wait }: Making) {
      const hangsS = random.between(3, 8);
      await world.watch.command("CLIENT", "PAUSE", Math.round(hangsS * 1000), "ALL");
      await whileUnknowable(world.subscribers, () => wait(hangsS - 0.2, hangsS - 0.2));
    },
  },
  {
    name: "Redis emptied",
    subjects: REDIS,
    make: ({ world }) => world.emptyRedis(),
  },
];

function commandFault(
  name: string,
  [begin, ...beginArguments]: readonly [string, ...(string | number)[]],
  [end, ...endArguments]: readonly [string, ...(string | number)[]],
): Fault {
  return {
    name,
    subjects: REDIS,
    certain: REDIS,
    async make({ world, wait, whileUnknowable }) {
      await world.watch.command(begin, ...beginArguments);
      await whileUnknowable(world.subscribers, () => wait(3, 8));
      await world.watch.command(end, ...endArguments);
    },
  };
}
