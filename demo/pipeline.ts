import { connect } from "amqplib";
import { freePorts } from "../test/brokers/free-ports.ts";
import type { Brokers } from "../test/brokers.ts";
import { type Part, readExample, tcpService, worker } from "./parts.ts";

export interface Pipeline {
  readonly parts: readonly Part[];
  /** What the publisher is to watch: the FEGA-Norway file with the addresses of this machine. */
  readonly publisherConfig: object;
  stop(): Promise<void>;
}

/** Starts the example pipeline of a Federated EGA node: nine queues with their workers, and two TCP services. */
export async function startPipeline({ rabbitmq }: Brokers): Promise<Pipeline> {
  const { heartbeat, workers } = readExample();
  const ports = await freePorts(heartbeat.hosts.length);
  const hosts = heartbeat.hosts.map(({ name }, index) => ({
    name,
    host: "127.0.0.1",
    port: ports[index] ?? 0,
  }));
  const amqp = { ...rabbitmq, hostname: rabbitmq.host, port: rabbitmq.amqpPort, username: rabbitmq.user };
  const parts = [
    ...hosts.map((host) => tcpService(host.name, host)),
    ...workers.map(({ name, queues }) => worker(name, queues, () => connect(amqp))),
  ];
  await Promise.all(parts.map((part) => part.start()));
  return {
    parts,
    publisherConfig: { heartbeat: { ...heartbeat, hosts } },
    stop: async () => void (await Promise.allSettled(parts.map((part) => part.stop()))),
  };
}
