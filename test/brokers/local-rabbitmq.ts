import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import net from "node:net";
import { join } from "node:path";
import { ENABLED_PLUGINS, GUEST, type RabbitmqAddress } from "./addresses.ts";
import { onFreePorts } from "./free-ports.ts";
import { checkRabbitmq, untilReady } from "./ready.ts";
import { type ServerProcess, startServer, temporaryFolder } from "./server-process.ts";
import { started, type Started } from "./started.ts";

export interface RabbitmqPrograms {
  readonly rabbitmqServer: string;
  readonly epmd: string;
}

interface Node {
  readonly name: string;
  readonly amqpPort: number;
  readonly managementPort: number;
  readonly distributionPort: number;
  readonly epmdPort: number;
}

/** What becomes of it by accident, or by its own command line. */
export interface LocalRabbitmq extends Started<RabbitmqAddress> {
  /** Ends it as `kill -9` does; what it has on its disk stays. */
  kill(): Promise<void>;
  /** Starts it again after a `kill`, with all that it had; resolves when it is ready. */
  restart(): Promise<void>;
  /** Variables with which rabbitmqctl finds it. */
  readonly env: Readonly<Record<string, string>>;
}

/** Starts a RabbitMQ with the plugins that the tests need, which shares nothing with the machine's own. */
export async function startLocalRabbitmq(
  { rabbitmqServer, epmd }: RabbitmqPrograms,
  signal: AbortSignal,
): Promise<LocalRabbitmq> {
  return onFreePorts(4, async ([amqpPort = 0, managementPort = 0, distributionPort = 0, epmdPort = 0]) => {
    await using releases = new AsyncDisposableStack();
    const folder = await temporaryFolder();
    releases.defer(folder.remove);
    const name = `test-${randomBytes(4).toString("hex")}@localhost`;
    const node = { name, amqpPort, managementPort, distributionPort, epmdPort };
    await writeConfiguration(folder.path, node);
    const env = environment(folder.path, node);
    signal.throwIfAborted();

    // Started by us rather than by Erlang, which would leave it behind as a daemon that nobody knows.
    const args = ["-port", String(epmdPort), "-address", "127.0.0.1"];
    const mapper = startServer({ name: "epmd", program: epmd, args, env }, folder);
    releases.defer(mapper.stop);
    await untilReady({ name: "epmd", check: () => tryConnect(epmdPort), signal, failed: mapper.failed });

    const address = { host: "127.0.0.1", amqpPort, managementPort, ...GUEST };
    const check = (signal: AbortSignal) => checkRabbitmq(address, signal, name);
    const start = () => startServer({ name: "rabbitmq", program: rabbitmqServer, args: [], env }, folder);
    const ready = ({ failed, logTail }: ServerProcess) =>
      untilReady({ name: "rabbitmq", check, signal, failed, logTail });
    let server = start();
    releases.defer(() => server.stop());
    await ready(server);
    return {
      ...started(address, releases),
      env,
      kill: () => server.stop(),
      async restart() {
        server = start();
        await ready(server);
      },
    };
  });
}

async function writeConfiguration(folder: string, { amqpPort, managementPort }: Node): Promise<void> {
  const lines = [
    `listeners.tcp.1 = 127.0.0.1:${amqpPort}`,
    "management.tcp.ip = 127.0.0.1",
    `management.tcp.port = ${managementPort}`,
    // By default a nearly full disk stops every publisher.
    "disk_free_limit.absolute = 1MB",
  ];
  await writeFile(join(folder, "rabbitmq.conf"), `${lines.join("\n")}\n`);
  await writeFile(join(folder, "enabled_plugins"), ENABLED_PLUGINS);
  await mkdir(join(folder, "conf.d"));
}

/** Whole, not on top of our own: a RABBITMQ_… of the user's must not get in. */
function environment(folder: string, { name, distributionPort, epmdPort }: Node): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    LANG: "C.UTF-8",
    // Erlang writes its cookie here.
    HOME: folder,
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_EPMD_PORT: String(epmdPort),
    RABBITMQ_NODENAME: name,
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
    RABBITMQ_CONFIG_FILES: join(folder, "conf.d", "*.conf"),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, "advanced.config"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
    RABBITMQ_MNESIA_BASE: join(folder, "data"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    // To the console, so to the one log that start-up errors are in, too.
    RABBITMQ_LOGS: "-",
    // The script then becomes the server instead of waiting for it, so that the process we end is the server itself.
    RABBITMQ_ALLOW_INPUT: "true",
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: [
      "-noinput",
      // With its name from the start, RabbitMQ leaves out a second Erlang that would only look for epmd: 0.8 s.
      `-sname ${name}`,
      "-kernel inet_dist_use_interface {127,0,0,1}",
      `-kernel inet_dist_listen_min ${distributionPort}`,
      `-kernel inet_dist_listen_max ${distributionPort}`,
    ].join(" "),
  };
}

async function tryConnect(port: number): Promise<void> {
  const socket = net.connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
  } finally {
    socket.destroy();
  }
}
