import { GenericContainer, getContainerRuntimeClient, type StartedNetwork, Wait } from "testcontainers";
import { inject, onTestFinished } from "vitest";

export type Service = "publisher" | "subscriber";

export type ServiceContainer = Awaited<ReturnType<typeof startService>>;

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly network?: StartedNetwork;
  /** Paths of this machine by the path in the container. */
  readonly mounts?: Readonly<Record<string, string>>;
  /** An address, in place of the engine's own. */
  readonly nameServer?: string;
}

/** Has what testcontainers has no options for. */
class LockedDownContainer extends GenericContainer {
  withReadOnlyRoot(): this {
    this.hostConfig.ReadonlyRootfs = true;
    return this;
  }

  withNameServer(address: string): this {
    this.hostConfig.Dns = [address];
    return this;
  }
}

/** Runs a service from its image, without any right that it could do without, until the test is finished. */
export async function startService(service: Service, options: RunOptions) {
  let output = "";
  const logged = Promise.withResolvers<void>();
  const container = new LockedDownContainer(inject("images")[service])
    .withReadOnlyRoot()
    .withUser("65532")
    .withDroppedCapabilities("ALL")
    .withSecurityOpt("no-new-privileges")
    .withEnvironment({ ...options.env })
    .withBindMounts(
      Object.entries(options.mounts ?? {}).map(([target, source]) => ({
        source,
        target,
        mode: "ro" as const,
      })),
    )
    .withLogConsumer((stream) =>
      stream
        .on("data", (data: Buffer | string) => (output += String(data)))
        .on("end", () => logged.resolve()),
    )
    .withWaitStrategy(Wait.forLogMessage(STARTED[service]));
  if (options.nameServer !== undefined) container.withNameServer(options.nameServer);
  if (options.network) container.withNetwork(options.network);
  if (service === "subscriber") container.withExposedPorts(8080);
  const running = await container.start();
  const handle = await engineContainer(running.getId());
  onTestFinished(async () => void (await handle.remove({ force: true, v: true })));
  return {
    handle,
    /** All that it has logged so far. */
    printed: () => output,
    /** Comes when it has ended, and all that it logged is in `printed`. */
    logged: logged.promise,
    /** Where the subscriber answers. */
    url: service === "subscriber" ? `http://${running.getHost()}:${running.getMappedPort(8080)}` : "",
  };
}

const STARTED: Readonly<Record<Service, string>> = {
  publisher: '"msg":"watching"',
  subscriber: '"msg":"listening"',
};

const STOP_DEADLINE_MS = 5_000;

/** Sends a signal to the first process of a container, and waits for its end and for the last of its log. */
export async function stopped(
  { handle, logged }: Pick<ServiceContainer, "handle" | "logged">,
  signal: NodeJS.Signals,
) {
  const startedMs = performance.now();
  await handle.kill({ signal });
  const { StatusCode: exitCode } = await handle.wait();
  const inTime = performance.now() - startedMs < STOP_DEADLINE_MS;
  await logged;
  return { exitCode, inTime };
}

/** What the engine itself can do with a container, such as pausing it. */
export async function engineContainer(id: string) {
  const { container } = await getContainerRuntimeClient();
  return container.dockerode.getContainer(id);
}
