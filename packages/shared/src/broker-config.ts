import { isIPv6 } from "node:net";
import * as z from "zod";
import { parseAddress } from "./address.ts";
import { flag, oneOf, optionalText, port, text, variable } from "./config.ts";
import { certificateFile, keyPairCheck, privateKeyFile } from "./pem-file.ts";
import type { TlsSettings } from "./tls.ts";
import type { Declare, Topology } from "./topology.ts";

/** How to reach the broker at one of its addresses. */
export interface BrokerSettings {
  /** A name or an address, an IPv6 address without brackets. */
  readonly host: string;
  readonly amqpPort: number;
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
  readonly tls: TlsSettings | undefined;
}

/** One for each address, in the order in which they are tried. */
export type BrokerAddresses = readonly [BrokerSettings, ...BrokerSettings[]];

const DECLARE: readonly Declare[] = ["all", "queue", "none"];

/** The RABBITMQ_ variables that both services read. */
export const brokerVariables = {
  RABBITMQ_HOST: hosts("localhost"),
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

export function brokerSettings(env: BrokerVariables): BrokerAddresses {
  const standardPort = env.RABBITMQ_TLS ? env.RABBITMQ_TLS_PORT : env.RABBITMQ_PORT;
  const settingsOf = ({ host, port = standardPort }: HostAddress): BrokerSettings => ({
    host,
    amqpPort: port,
    user: env.RABBITMQ_USER,
    password: env.RABBITMQ_PASS,
    vhost: env.RABBITMQ_VHOST,
    tls: env.RABBITMQ_TLS ? brokerTls(env, host) : undefined,
  });
  const [first, ...others] = env.RABBITMQ_HOST;
  return [settingsOf(first), ...others.map(settingsOf)];
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

export function brokerTls(env: BrokerVariables, host: string): TlsSettings {
  return {
    ca: env.RABBITMQ_CA_CERT_PATH,
    cert: env.RABBITMQ_CLIENT_CERT_PATH,
    key: env.RABBITMQ_CLIENT_KEY_PATH,
    serverName: env.RABBITMQ_SERVER_NAME ?? host,
  };
}

/** Whoever names certificates expects TLS: a warning where nothing speaks it. */
export function unusedTls(env: BrokerVariables, isUsedElsewhere = false): string[] {
  if (env.RABBITMQ_TLS || isUsedElsewhere) return [];
  if (!env.RABBITMQ_CA_CERT_PATH && !env.RABBITMQ_CLIENT_CERT_PATH) return [];
  return ["certificates are set for RabbitMQ, but RABBITMQ_TLS is not true: the connection is not encrypted"];
}

interface HostAddress {
  readonly host: string;
  /** Undefined: the standard one. */
  readonly port: number | undefined;
}

/** At least one host, each with a port or without. */
function hosts(fallback: string) {
  const expected =
    "a host or host:port, or several with commas between them and none empty; an IPv6 address with a port in brackets";
  return variable(expected, hostAddresses, [{ host: fallback, port: undefined }] as const);
}

function hostAddresses(list: string): readonly [HostAddress, ...HostAddress[]] | undefined {
  const [first, ...others] = list.split(",").map((item) => hostAddress(item.trim()));
  return first && others.every((one) => one !== undefined) ? [first, ...others] : undefined;
}

function hostAddress(text: string): HostAddress | undefined {
  return isIPv6(text) ? { host: text, port: undefined } : parseAddress(text, undefined);
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
