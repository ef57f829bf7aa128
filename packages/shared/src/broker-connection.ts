import { type Channel, type ChannelModel, connect } from "amqplib";
import type { BrokerSettings } from "./broker-config.ts";
import { tlsOptions } from "./tls.ts";

/** A dead connection is noticed after two to three of these. */
const AMQP_HEARTBEAT_S = 10;
const MOST_MISSED_HEARTBEATS = 3;
const CONNECT_TIMEOUT_MS = 10_000;

interface LookingConnection {
  /** Date.now() when it was connected; undefined while it is not. */
  readonly connectedAtMs: number | undefined;
  /** Rejects when there is no connection. */
  openChannel(): Promise<Channel>;
  /** Never rejects. */
  close(): Promise<void>;
}

/**
 * One connection for looking only: nothing is declared, and it does not come back. Returns at once; connecting goes on
 * beside.
 */
export function connectToLook(settings: BrokerSettings, connectionName: string): LookingConnection {
  let connectedAtMs: number | undefined;
  const dialling = dial(settings, connectionName).then((connection) => {
    connection.on("error", () => {}); // whoever asks is told
    connection.once("close", () => (connectedAtMs = undefined));
    connectedAtMs = Date.now();
    return connection;
  });
  // Without a connection there is nothing to tell but to those who ask.
  dialling.catch(() => {});
  return {
    get connectedAtMs() {
      return connectedAtMs;
    },
    openChannel: async () => await quietChannel(await dialling),
    close: async () => await dialling.then(closeQuietly, () => {}), // there was none
  };
}

/** Rejects when there is no connection within 10 s, or when the broker refuses it. */
export async function dial(settings: BrokerSettings, connectionName: string): Promise<ChannelModel> {
  const { host, amqpPort, user, password, vhost, tls } = settings;
  return await connect(
    {
      protocol: tls ? "amqps" : "amqp",
      hostname: host,
      port: amqpPort,
      username: user,
      password,
      // amqplib decodes it, also when it does not come out of a URL.
      vhost: encodeURIComponent(vhost),
      heartbeat: AMQP_HEARTBEAT_S,
    },
    {
      timeout: CONNECT_TIMEOUT_MS,
      noDelay: true,
      clientProperties: { connection_name: connectionName },
      ...(tls && tlsOptions(tls)),
    },
  );
}

/** For how long the broker may have been silent before a connection ended for this reason. */
export function unheardMs(reason: unknown): number {
  const isSilence = reason instanceof Error && reason.message === "Heartbeat timeout";
  return isSilence ? MOST_MISSED_HEARTBEATS * AMQP_HEARTBEAT_S * 1000 : 0;
}

/** A refusal is told twice, by the rejection and by an event, which would be uncaught. */
export async function quietChannel(connection: ChannelModel): Promise<Channel> {
  const channel = await connection.createChannel();
  channel.on("error", () => {});
  return channel;
}

/** Never rejects: it may be closed already. */
export async function closeQuietly(connection: ChannelModel): Promise<void> {
  await connection.close().catch(() => {}); // already closed, or being closed by somebody else
}
