// One part of the example pipeline as a program of its own, for docker/compose.yaml: part.ts sda-ingest
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type ChannelModel, connect } from "amqplib";
import { type Part, readExample, tcpService, worker } from "./parts.ts";

const DIAL_AGAIN_MS = 1_000;

const { env } = process;
let exitCodeOnLoss = 1;

const part = partNamed(process.argv[2]);
process.once("SIGTERM", () => {
  exitCodeOnLoss = 0;
  void part.stop().then(() => process.exit(0));
});
await part.start();
console.log(`${part.name} is running`);

function partNamed(name: string | undefined): Part {
  const { heartbeat, workers } = readExample();
  const host = heartbeat.hosts.find((host) => host.name === name);
  if (host) return tcpService(host.name, { host: "0.0.0.0", port: Number(host.port) });
  const found = workers.find((worker) => worker.name === name);
  if (!found) throw new Error(`the example pipeline has no part ${name}`);
  return worker(found.name, found.queues, dialUntilAnswered);
}

async function dialUntilAnswered(): Promise<ChannelModel> {
  for (;;) {
    try {
      const connection = await dial();
      // As many a worker does: it ends with its connection, and whoever started it starts it again.
      connection.once("close", () => process.exit(exitCodeOnLoss));
      return connection;
    } catch (error) {
      console.error(`no broker yet: ${error instanceof Error ? error.message : String(error)}`);
      await sleep(DIAL_AGAIN_MS);
    }
  }
}

async function dial(): Promise<ChannelModel> {
  const isTls = env["RABBITMQ_TLS"] === "true";
  return await connect(
    {
      protocol: isTls ? "amqps" : "amqp",
      port: isTls ? 5671 : 5672,
      hostname: env["RABBITMQ_HOST"] ?? "localhost",
      username: env["RABBITMQ_USER"] ?? "guest",
      password: env["RABBITMQ_PASS"] ?? "guest",
    },
    isTls ? { ca: readFileSync(env["RABBITMQ_CA_CERT_PATH"] ?? "") } : {},
  );
}
