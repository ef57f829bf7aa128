import type { RabbitmqAddress, RedisAddress } from "./brokers/addresses.ts";
import { engineAnswers } from "./brokers/container-engine.ts";
import { startContainers } from "./brokers/containers.ts";
import { brokersFromEnvironment } from "./brokers/environment.ts";
import { startLocalServers } from "./brokers/local-servers.ts";
import type { Say } from "./brokers/progress.ts";
import type { Started } from "./brokers/started.ts";

export interface Brokers {
  readonly rabbitmq: RabbitmqAddress;
  readonly redis: RedisAddress;
  readonly source: "environment" | "containers" | "local";
  /** Ends what was started and removes its folders; safe to call twice. */
  readonly stop: () => Promise<void>;
}

export interface StartOptions {
  /** Whether the addresses may come from TEST_RABBITMQ_HOST and TEST_REDIS_HOST. */
  readonly fromEnvironment: boolean;
  readonly say: Say;
  /**
   * Calls the start off; it rejects when nothing is left of it. To abort on a signal, listen with `process.on`: after a
   * `process.once`, a library of testcontainers takes itself for the only listener and ends the process.
   */
  readonly signal?: AbortSignal;
}

type Addresses = Pick<Brokers, "rabbitmq" | "redis">;

/**
 * Finds or starts a real RabbitMQ and a real Redis: from the environment, else in containers, else as private instances
 * of the machine's servers, installed first where that is possible. TEST_BROKERS=containers or local allows only that;
 * TEST_RABBITMQ_IMAGE and TEST_REDIS_IMAGE name the images of the containers. Rejects with what to install; nothing is left
 * behind then.
 */
export async function startBrokers({ fromEnvironment, say, signal }: StartOptions): Promise<Brokers> {
  const { env } = process;
  const forced = forcedSource(env);
  const callingOff = signal ?? new AbortController().signal;

  if (forced === "containers") return brokers("containers", await startContainers(say, callingOff));
  if (forced === "local") return brokers("local", await startLocalServers(say, callingOff));
  const given = fromEnvironment && (await brokersFromEnvironment(env, callingOff));
  if (given) return brokers("environment", given);
  const inContainers = await tryContainers(say, callingOff);
  if (inContainers) return brokers("containers", inContainers);
  return brokers("local", await startLocalServers(say, callingOff));
}

function forcedSource(env: NodeJS.ProcessEnv): "containers" | "local" | undefined {
  const { TEST_BROKERS: source, TEST_RABBITMQ_IMAGE, TEST_REDIS_IMAGE } = env;
  if (source === "containers") return source;
  if (source && source !== "local") {
    throw new Error(`TEST_BROKERS must be "containers" or "local", not "${source}"`);
  }
  // The tests would pass with another version than the one that was asked for.
  if (TEST_RABBITMQ_IMAGE || TEST_REDIS_IMAGE) {
    throw new Error("TEST_RABBITMQ_IMAGE and TEST_REDIS_IMAGE need TEST_BROKERS=containers");
  }
  return source === "local" ? source : undefined;
}

async function tryContainers(say: Say, signal: AbortSignal): Promise<Started<Addresses> | undefined> {
  if (!(await engineAnswers(process.env))) {
    say("no container engine answers: using this machine's own RabbitMQ and Redis");
    return undefined;
  }
  try {
    return await startContainers(say, signal);
  } catch (error) {
    signal.throwIfAborted();
    say(`containers do not work here (${firstLine(error)}): using this machine's own RabbitMQ and Redis`);
    return undefined;
  }
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n", 1)[0] ?? "";
}

function brokers(source: Brokers["source"], { address, stop }: Started<Addresses>): Brokers {
  return { ...address, source, stop };
}
