import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerRuntimeClient, StartedTestContainer } from "testcontainers";
import {
  ENABLED_PLUGINS,
  GUEST,
  REDIS_DATABASES,
  type RabbitmqAddress,
  type RedisAddress,
} from "./addresses.ts";
import { withProgress, type Say } from "./progress.ts";
import { checkRabbitmq, checkRedis, untilReady } from "./ready.ts";
import { startBoth, started, type Started } from "./started.ts";

/** Any version with the management plugin. */
export const RABBITMQ_IMAGE = process.env["TEST_RABBITMQ_IMAGE"] || "rabbitmq:4-management";
/** Any version from 7 on, and of Valkey, whose image has `redis-server` as another name of its server. */
export const REDIS_IMAGE = process.env["TEST_REDIS_IMAGE"] || "redis:8";

/** By which the containers of one start are found, also those that are still on their way. */
export const LABEL = "pipeline-heartbeat.brokers";
const PULL_WITHIN_MS = 600_000;
export const STARTUP_WITHIN_MS = 120_000;
const REMOVED_WITHIN_MS = 10_000;
const BETWEEN_REMOVALS_MS = 200;

/** Needs an engine that answers. Rejects when it neither has the images nor can pull them. */
export async function startContainers(
  say: Say,
  signal: AbortSignal,
): Promise<Started<{ rabbitmq: RabbitmqAddress; redis: RedisAddress }>> {
  const { getContainerRuntimeClient, getReaper } = await import("testcontainers");
  const client = await getContainerRuntimeClient();
  await Promise.all([RABBITMQ_IMAGE, REDIS_IMAGE].map((image) => ensureImage(client, image, say, signal)));
  // The reaper removes what a killed process leaves behind. Where its own image is out of reach, we do without.
  const withReaper = await getReaper(client).then(
    () => true,
    () => false,
  );
  signal.throwIfAborted();
  return startBoth(
    (signal) =>
      withProgress("starting RabbitMQ in a container", say, () => rabbitmq(client, withReaper, signal)),
    (signal) => withProgress("starting Redis in a container", say, () => redis(client, withReaper, signal)),
    signal,
  );
}

/** Pulls it when it is not there; rejects when it cannot be had. */
export async function ensureImage(
  client: ContainerRuntimeClient,
  image: string,
  say: Say,
  signal: AbortSignal,
): Promise<void> {
  const { ImageName } = await import("testcontainers");
  if (await client.image.exists(ImageName.fromString(image))) return;
  say(`pulling the image ${image}`);
  await withProgress(`pulling ${image}`, say, () => pull(client, image, signal));
}

/**
 * testcontainers' own pull cannot be called off, and takes one that failed for one that succeeded: the engine tells it
 * in mid-stream, as a line of JSON with an `error`.
 */
async function pull(client: ContainerRuntimeClient, image: string, signal: AbortSignal): Promise<void> {
  const abortSignal = AbortSignal.any([signal, AbortSignal.timeout(PULL_WITHIN_MS)]);
  const lines = createInterface({ input: await client.container.dockerode.pull(image, { abortSignal }) });
  for await (const line of lines) {
    if (line.startsWith('{"error')) throw new Error(`the image ${image} cannot be pulled: ${line}`);
  }
  abortSignal.throwIfAborted();
}

async function rabbitmq(
  client: ContainerRuntimeClient,
  withReaper: boolean,
  signal: AbortSignal,
): Promise<Started<RabbitmqAddress>> {
  const { RabbitMQContainer } = await import("@testcontainers/rabbitmq");
  signal.throwIfAborted();
  await using releases = new AsyncDisposableStack();
  const label = randomBytes(8).toString("hex");
  const container = new RabbitMQContainer(RABBITMQ_IMAGE)
    .withEnvironment({ RABBITMQ_DEFAULT_USER: GUEST.user, RABBITMQ_DEFAULT_PASS: GUEST.password })
    .withCopyContentToContainer([{ content: ENABLED_PLUGINS, target: "/etc/rabbitmq/enabled_plugins" }])
    .withLabels({ [LABEL]: label })
    .withAutoCleanup(withReaper)
    .withStartupTimeout(STARTUP_WITHIN_MS);
  releases.defer(() => removeContainers(client, label));
  const running = await orRemove(client, label, container.start(), signal);

  const host = running.getHost();
  const [amqpPort, managementPort] = [running.getMappedPort(5672), running.getMappedPort(15672)];
  const address = { host, amqpPort, managementPort, ...GUEST };
  await untilReady({ name: "rabbitmq", check: (signal) => checkRabbitmq(address, signal), signal });
  return started(address, releases);
}

async function redis(
  client: ContainerRuntimeClient,
  withReaper: boolean,
  signal: AbortSignal,
): Promise<Started<RedisAddress>> {
  const { RedisContainer } = await import("@testcontainers/redis");
  signal.throwIfAborted();
  await using releases = new AsyncDisposableStack();
  const label = randomBytes(8).toString("hex");
  const container = new RedisContainer(REDIS_IMAGE)
    // Without the program's name, before which the image's entry point puts its own server's, as an ordinary user.
    .withCommand(["--save", "", "--appendonly", "no", "--databases", String(REDIS_DATABASES)])
    .withLabels({ [LABEL]: label })
    .withAutoCleanup(withReaper)
    .withStartupTimeout(STARTUP_WITHIN_MS);
  releases.defer(() => removeContainers(client, label));
  const running = await orRemove(client, label, container.start(), signal);

  const address = { host: running.getHost(), port: running.getPort(), databases: REDIS_DATABASES };
  await untilReady({ name: "redis", check: () => checkRedis(address), signal });
  return started(address, releases);
}

/** A Redis with the engine's network for its own, so that it has the ports and addresses that it tells others. */
export async function startRedisContainer(shellArguments: string[]): Promise<() => Promise<void>> {
  const { GenericContainer, getContainerRuntimeClient } = await import("testcontainers");
  const client = await getContainerRuntimeClient();
  await ensureImage(client, REDIS_IMAGE, () => {}, AbortSignal.timeout(PULL_WITHIN_MS));
  const label = randomBytes(8).toString("hex");
  const remove = () => removeContainers(client, label);
  try {
    await new GenericContainer(REDIS_IMAGE)
      .withNetworkMode("host")
      .withEntrypoint(["/bin/sh"])
      .withCommand(shellArguments)
      .withLabels({ [LABEL]: label })
      .withStartupTimeout(STARTUP_WITHIN_MS)
      .start();
  } catch (error) {
    await remove();
    throw error;
  }
  return remove;
}

/** A start of testcontainers cannot be called off; without its container it ends soon. */
async function orRemove<Container extends StartedTestContainer>(
  client: ContainerRuntimeClient,
  label: string,
  starting: Promise<Container>,
  signal: AbortSignal,
): Promise<Container> {
  const settled = new AbortController();
  async function remove(): Promise<void> {
    while (!settled.signal.aborted) {
      await removeContainers(client, label).catch(() => {});
      await sleep(BETWEEN_REMOVALS_MS);
    }
  }
  signal.addEventListener("abort", () => void remove(), { signal: settled.signal });
  try {
    return await starting;
  } catch (error) {
    // It says only that its container is gone.
    signal.throwIfAborted();
    throw error;
  } finally {
    settled.abort();
  }
}

/** Until none is left: the engine refuses to remove one that testcontainers, or an earlier call, is just removing. */
export async function removeContainers(client: ContainerRuntimeClient, label: string): Promise<void> {
  const engine = client.container.dockerode;
  const deadline = AbortSignal.timeout(REMOVED_WITHIN_MS);
  for (;;) {
    const containers = await engine.listContainers({ all: true, filters: { label: [`${LABEL}=${label}`] } });
    const removals = containers.map(({ Id }) => engine.getContainer(Id).remove({ force: true, v: true }));
    const refused = (await Promise.allSettled(removals)).find(({ status }) => status === "rejected");
    if (containers.length === 0) return;
    if (refused && deadline.aborted) throw new Error("containers cannot be removed", { cause: refused });
    if (refused) await sleep(BETWEEN_REMOVALS_MS);
  }
}
