import { RabbitMQContainer } from "@testcontainers/rabbitmq";
import { RedisContainer } from "@testcontainers/redis";
import { Network } from "testcontainers";
import { freePorts } from "../../test/brokers/free-ports.ts";
import { RABBITMQ_IMAGE, REDIS_IMAGE, STARTUP_WITHIN_MS } from "../../test/brokers/containers.ts";
import { engineContainer } from "./service-container.ts";

/** As in the example of upstream's README. */
const VHOST = "test";
const USER = "admin";
const PASSWORD = "admin";

export type SiteBrokers = Awaited<ReturnType<typeof startSiteBrokers>>;

/**
 * A RabbitMQ and a Redis that containers in `network` find as `mq` and `redis`, for all tests of a file. Redis keeps its
 * port when it is restarted, and loses its data.
 * @param configure what else that RabbitMQ needs
 */
export async function startSiteBrokers(configure = (rabbitmq: RabbitMQContainer) => rabbitmq) {
  await using releases = new AsyncDisposableStack();
  const network = await new Network().start();
  releases.defer(async () => void (await network.stop()));
  const [port = 0] = await freePorts(1);
  const startingRedis = new RedisContainer(REDIS_IMAGE)
    .withCommand(["redis-server", "--save", "", "--appendonly", "no"])
    .withExposedPorts({ container: 6379, host: port })
    .withNetwork(network)
    .withNetworkAliases("redis")
    .start();
  const startingRabbitmq = configure(new RabbitMQContainer(RABBITMQ_IMAGE))
    .withEnvironment({
      RABBITMQ_DEFAULT_USER: USER,
      RABBITMQ_DEFAULT_PASS: PASSWORD,
      RABBITMQ_DEFAULT_VHOST: VHOST,
    })
    .withNetwork(network)
    .withNetworkAliases("mq")
    .withStartupTimeout(STARTUP_WITHIN_MS)
    .start();
  for (const starting of [startingRedis, startingRabbitmq]) {
    // Also the one that started when the other one did not.
    releases.defer(
      async () =>
        void (await starting.then(
          (container) => container.stop(),
          () => {},
        )),
    );
  }
  const [redis, rabbitmq] = await Promise.all([startingRedis, startingRabbitmq]);
  const owned = releases.move();
  return {
    network,
    amqpUrl: `amqp://${USER}:${PASSWORD}@${rabbitmq.getHost()}:${rabbitmq.getMappedPort(5672)}/${VHOST}`,
    /** For services in `network`. */
    env: {
      RABBITMQ_HOST: "mq",
      RABBITMQ_USER: USER,
      RABBITMQ_PASS: PASSWORD,
      RABBITMQ_VHOST: VHOST,
      REDIS_HOST: "redis",
    },
    redisAddress: { host: redis.getHost(), port },
    rabbitmq: await engineContainer(rabbitmq.getId()),
    redis: await engineContainer(redis.getId()),
    stop: () => owned.disposeAsync(),
  };
}
