import { GUEST, type RabbitmqAddress, type RedisAddress } from "./addresses.ts";
import { checkRabbitmq, checkRedis, untilReady } from "./ready.ts";
import { started, type Started } from "./started.ts";

const ANSWER_WITHIN_MS = 10_000;
const REDIS_DEFAULT_DATABASES = 16;

type Environment = Readonly<Record<string, string | undefined>>;
type Addresses = { rabbitmq: RabbitmqAddress; redis: RedisAddress };

/** Undefined when the environment names neither. Somebody else's: stopping them does nothing. */
export async function brokersFromEnvironment(
  env: Environment,
  signal: AbortSignal,
): Promise<Started<Addresses> | undefined> {
  const addresses = addressesFrom(env);
  if (!addresses) return undefined;
  const { rabbitmq, redis } = addresses;
  await Promise.all([
    untilReady({
      name: `the rabbitmq of TEST_RABBITMQ_HOST (${rabbitmq.host})`,
      check: (signal) => checkRabbitmq(rabbitmq, signal),
      signal,
      withinMs: ANSWER_WITHIN_MS,
    }),
    untilReady({
      name: `the redis of TEST_REDIS_HOST (${redis.host})`,
      check: () => checkRedis(redis),
      signal,
      withinMs: ANSWER_WITHIN_MS,
    }),
  ]);
  return started(addresses, new AsyncDisposableStack());
}

function addressesFrom(env: Environment): Addresses | undefined {
  const { TEST_RABBITMQ_HOST, TEST_REDIS_HOST } = env;
  if (!TEST_RABBITMQ_HOST && !TEST_REDIS_HOST) return undefined;
  if (!TEST_RABBITMQ_HOST || !TEST_REDIS_HOST) {
    throw new Error("set both TEST_RABBITMQ_HOST and TEST_REDIS_HOST, or neither");
  }
  return {
    rabbitmq: {
      host: TEST_RABBITMQ_HOST,
      amqpPort: portFrom(env, "TEST_RABBITMQ_PORT", 5672),
      managementPort: portFrom(env, "TEST_RABBITMQ_MANAGEMENT_PORT", 15672),
      user: env.TEST_RABBITMQ_USER || GUEST.user,
      password: env.TEST_RABBITMQ_PASS || GUEST.password,
    },
    redis: {
      host: TEST_REDIS_HOST,
      port: portFrom(env, "TEST_REDIS_PORT", 6379),
      databases: REDIS_DEFAULT_DATABASES,
    },
  };
}

function portFrom(env: Environment, name: string, standard: number): number {
  const port = Number(env[name] || standard);
  if (!Number.isInteger(port) || port < 1 || 65_535 < port) throw new Error(`${name} is not a port`);
  return port;
}
