import * as z from "zod";
import { flag, oneOf, optionalText, port, text, variable } from "./config.ts";
import { certificateFile, keyPairCheck, privateKeyFile } from "./pem-file.ts";
import type { TlsSettings } from "./tls.ts";
import type { Declare, Topology } from "./topology.ts";

export interface BrokerSettings {
  readonly host: string;
  readonly amqpPort: number;
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
  readonly tls: TlsSettings | undefined;
}

const DECLARE: readonly Declare[] = ["all", "queue", "none"];

/** The RABBITMQ_ variables that both services read. */
export const brokerVariables = {
  RABBITMQ_HOST: text("localhost"),
  RABBITMQ_PORT: port(5672),
  RABBITMQ_TLS: flag(false),
  RABBITMQ_TLS_PORT: port(5671),
  RABBITMQ_CA_CERT_PATH: certificateFile(),
  RABBITMQ_CLIENT_CERT_PATH: certificateFile(),
  RABBITMQ_CLIENT_KEY_PATH: privateKeyFile(),
  RABBITMQ_SERVER_NAME: optionalText(),
  RABBITMQ_USER: text("guest"),
  RABBITMQ_PASS: text("guest"),
  RABBITMQ_VHOST: text("/"),
  RABBITMQ_EXCHANGE: text("my_topic_exchange"),
  RABBITMQ_QUEUE: text("my_queue"),
  RABBITMQ_ROUTING_KEY: variable("some text", (value) => value, "service.heartbeat"),
  RABBITMQ_DECLARE: oneOf(DECLARE, "all"),
};

type BrokerVariables = z.output<z.ZodObject<typeof brokerVariables>>;

export const brokerSecrets = ["RABBITMQ_PASS"];

export const clientCertificateCheck = keyPairCheck("RABBITMQ_CLIENT_CERT_PATH", "RABBITMQ_CLIENT_KEY_PATH");

export function brokerSettings(env: BrokerVariables): BrokerSettings {
  return {
    host: env.RABBITMQ_HOST,
    amqpPort: env.RABBITMQ_TLS ? env.RABBITMQ_TLS_PORT : env.RABBITMQ_PORT,
    user: env.RABBITMQ_USER,
    password: env.RABBITMQ_PASS,
    vhost: env.RABBITMQ_VHOST,
    tls: env.RABBITMQ_TLS ? brokerTls(env) : undefined,
  };
}

/** An empty routing key stands for the queue's name, as in upstream's publisher. */
export function brokerTopology(env: BrokerVariables, end: Topology["end"]): Topology {
  return {
    exchange: env.RABBITMQ_EXCHANGE,
    queue: env.RABBITMQ_QUEUE,
    routingKey: env.RABBITMQ_ROUTING_KEY || env.RABBITMQ_QUEUE,
    declare: env.RABBITMQ_DECLARE,
    end,
  };
}

export function brokerTls(env: BrokerVariables): TlsSettings {
  return {
    ca: env.RABBITMQ_CA_CERT_PATH,
    cert: env.RABBITMQ_CLIENT_CERT_PATH,
    key: env.RABBITMQ_CLIENT_KEY_PATH,
    serverName: env.RABBITMQ_SERVER_NAME ?? env.RABBITMQ_HOST,
  };
}

/** Whoever names certificates expects TLS: a warning where nothing speaks it. */
export function unusedTls(env: BrokerVariables, isUsedElsewhere = false): string[] {
  if (env.RABBITMQ_TLS || isUsedElsewhere) return [];
  if (!env.RABBITMQ_CA_CERT_PATH && !env.RABBITMQ_CLIENT_CERT_PATH) return [];
  return ["certificates are set for RabbitMQ, but RABBITMQ_TLS is not true: the connection is not encrypted"];
}

/**
 * HEARTBEAT_MODE is upstream's role switch: there, anything but `publisher` means subscriber. Here each role has an
 * image of its own, so it is tolerated where it agrees.
 */
export function modeVariable(role: "publisher" | "subscriber") {
  return z
    .string()
    .optional()
    .transform((mode, context) => {
      if (mode === undefined || mode === "") return;
      const asked = mode.toLowerCase() === "publisher" ? "publisher" : "subscriber";
      if (asked !== role)
        context.addIssue(`asks for the ${asked}, this is the ${role}: use the ${asked}'s image`);
    });
}
