import type { RabbitmqAddress, RedisAddress } from "./addresses.ts";
import { canInstallPackages, installPackages } from "./debian-packages.ts";
import { startLocalRabbitmq, type RabbitmqPrograms } from "./local-rabbitmq.ts";
import { startLocalRedis } from "./local-redis.ts";
import { findEpmd, findProgram, findRabbitmqServer } from "./programs.ts";
import { withProgress, type Say } from "./progress.ts";
import { startBoth, type Started } from "./started.ts";

interface Programs extends RabbitmqPrograms {
  readonly redisServer: string;
}

/** Starts private instances of the machine's servers, after installing the missing ones where that can be done. */
export async function startLocalServers(
  say: Say,
  signal: AbortSignal,
): Promise<Started<{ rabbitmq: RabbitmqAddress; redis: RedisAddress }>> {
  const { redisServer, ...rabbitmqPrograms } = await findOrInstall(say);
  signal.throwIfAborted();
  return startBoth(
    (signal) => withProgress("starting RabbitMQ", say, () => startLocalRabbitmq(rabbitmqPrograms, signal)),
    (signal) => withProgress("starting Redis", say, () => startLocalRedis(redisServer, signal)),
    signal,
  );
}

/** @throws with what to install, where that cannot be done here */
export async function findOrInstall(say: Say): Promise<Programs> {
  const found = await find();
  if (isComplete(found)) return found;
  const missing = missingPackages(found);
  if (!(await canInstallPackages())) throw new Error(whatToInstall(missing));
  await installPackages(missing, say);
  const installed = await find();
  if (isComplete(installed)) return installed;
  throw new Error(
    `apt-get installed ${missing.join(", ")}, but ${missingPackages(installed).join(", ")} cannot be found`,
  );
}

async function find(): Promise<Partial<Programs>> {
  const [rabbitmqServer, epmd, redisServer] = await Promise.all([
    findRabbitmqServer(),
    findEpmd(),
    findProgram("redis-server"),
  ]);
  return {
    ...(rabbitmqServer && { rabbitmqServer }),
    ...(epmd && { epmd }),
    ...(redisServer && { redisServer }),
  };
}

function isComplete(programs: Partial<Programs>): programs is Programs {
  return missingPackages(programs).length === 0;
}

function missingPackages({ rabbitmqServer, epmd, redisServer }: Partial<Programs>): string[] {
  return [
    ...(rabbitmqServer ? [] : ["rabbitmq-server"]),
    // It comes with Erlang, so with RabbitMQ.
    ...(epmd || !rabbitmqServer ? [] : ["erlang-base"]),
    ...(redisServer ? [] : ["redis-server"]),
  ];
}

function whatToInstall(missing: string[]): string {
  const names = missing.join(" ");
  return [
    `a RabbitMQ and a Redis are needed, and this machine lacks ${missing.join(" and ")}.`,
    `Either install what is missing (Debian, Ubuntu: "sudo apt-get install ${names}"),`,
    "or start Docker or another container engine that this user may talk to.",
  ].join("\n");
}
