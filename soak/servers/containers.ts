import { randomBytes } from "node:crypto";
import { GUEST } from "../../test/brokers/addresses.ts";
import {
  ensureImage,
  LABEL,
  RABBITMQ_IMAGE,
  REDIS_IMAGE,
  removeContainers,
  STARTUP_WITHIN_MS,
} from "../../test/brokers/containers.ts";
import { freePorts } from "../../test/brokers/free-ports.ts";
import { type Say, withProgress } from "../../test/brokers/progress.ts";
import { checkRabbitmq, checkRedis, untilReady } from "../../test/brokers/ready.ts";
import { REDIS_ARGUMENTS, type Servers } from "./server.ts";

/** Both in containers. With fixed ports on this side: others would be given at each start. */
export async function containerServers(say: Say, signal: AbortSignal): Promise<Servers> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import("testcontainers");
  const client = await getContainerRuntimeClient();
  const engine = client.container.dockerode;
  for (const image of [RABBITMQ_IMAGE, REDIS_IMAGE]) await ensureImage(client, image, say, signal);
  const label = randomBytes(8).toString("hex");
  await using releases = new AsyncDisposableStack();
  releases.defer(() => removeContainers(client, label));
  const [amqpPort = 0, managementPort = 0, redisPort = 0] = await freePorts(3);

  async function run(image: string, ports: readonly (readonly [inside: number, outside: number])[]) {
    const container = new GenericContainer(image)
      .withExposedPorts(...ports.map(([inside, outside]) => ({ container: inside, host: outside })))
      .withLabels({ [LABEL]: label })
      .withWaitStrategy(Wait.forListeningPorts())
      .withStartupTimeout(STARTUP_WITHIN_MS);
    if (image === REDIS_IMAGE) container.withCommand(REDIS_ARGUMENTS);
    if (image === RABBITMQ_IMAGE) container.withEnvironment(DEFAULT_USER);
    return await container.start();
  }

  const rabbitmq = await withProgress("starting RabbitMQ in a container", say, () =>
    run(RABBITMQ_IMAGE, [
      [5672, amqpPort],
      [15672, managementPort],
    ]),
  );
  const redis = await run(REDIS_IMAGE, [[6379, redisPort]]);
  const host = rabbitmq.getHost();
  const broker = { host, amqpPort, managementPort, ...GUEST };
  const store = { host, port: redisPort };
  const brokerReady = () =>
    untilReady({ name: "rabbitmq", check: (signal) => checkRabbitmq(broker, signal), signal });
  const storeReady = () => untilReady({ name: "redis", check: () => checkRedis(store), signal });
  await brokerReady();
  await storeReady();
  const owned = releases.move();
  return {
    source: "containers",
    rabbitmq: {
      address: broker,
      kill: async () => void (await engine.getContainer(rabbitmq.getId()).kill()),
      async restart() {
        await engine.getContainer(rabbitmq.getId()).start();
        await brokerReady();
      },
      async control(...args) {
        const { exitCode, output } = await rabbitmq.exec(["rabbitmqctl", ...args]);
        if (exitCode !== 0) throw new Error(`rabbitmqctl ${args[0]}: ${output}`);
      },
    },
    redis: {
      address: store,
      kill: async () => void (await engine.getContainer(redis.getId()).kill()),
      async restart() {
        await engine.getContainer(redis.getId()).start();
        await storeReady();
      },
    },
    stop: async () => await owned.disposeAsync(),
  };
}

const DEFAULT_USER = {
  RABBITMQ_DEFAULT_USER: GUEST.user,
  RABBITMQ_DEFAULT_PASS: GUEST.password,
};
