import type { Address } from "@pipeline-heartbeat/shared/address.ts";
import type { Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { tlsChecks } from "@pipeline-heartbeat/shared/tls.ts";
import type { RedisSettings } from "../redis-config.ts";

export interface RedisProblems {
  /** There is no connection, and this is why. */
  away(problem: string): void;
  /** A node of a cluster cannot be reached, which others may stand in for. */
  nodeAway(problem: string): void;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Together with the answer to it, within the 2 s in which /health must answer. */
export const COMMAND_TIMEOUT_MS = 1_500;
/** With the 400 ms until the next sweep, well below the second in which all is to be well again. */
const MAX_RETRY_MS = 250;
const RECONNECT_EVERY_MS = 2_000;
/** Commands wait for an answer at least every sweep: a connection that stays mute this long is dead. */
const SOCKET_TIMEOUT_MS = 5_000;

export function retryMs(attempt: number): number {
  return Math.min(attempt * 50, MAX_RETRY_MS);
}

/** For a connection to whatever server. */
export function connectionOptions({ username, password }: RedisSettings) {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    connectionName: "pipeline-heartbeat-subscriber",
    // By a command that Redis 7.0 does not know, so that no access rule for all versions could allow it.
    disableClientInfo: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  };
}

/** For the connection to the one server that is written to. While it is away, commands fail at once. */
export function serverOptions(settings: RedisSettings, db: number) {
  return {
    ...connectionOptions(settings),
    db,
    enableOfflineQueue: false,
    retryStrategy: retryMs,
    // A server that is still loading tells so itself, at each command; ioredis would keep it to itself.
    enableReadyCheck: false,
    reconnectOnError: onceInAWhile((error) => error.message.includes("READONLY")),
  };
}

/** The server was made a replica: by now another one may be found where this one was. If not, it can be read meanwhile. */
function onceInAWhile(isReason: (error: Error) => boolean): (error: Error) => boolean {
  let lastMs = -Infinity;
  return (error) => {
    if (!isReason(error) || performance.now() - lastMs < RECONNECT_EVERY_MS) return false;
    lastMs = performance.now();
    return true;
  };
}

/**
 * ioredis copies them for each connection, and with them the certificates of then. Without a name each certificate is
 * checked against the host that the connection leads to.
 */
export function renewedTlsOptions(tls: NonNullable<RedisSettings["tls"]>, serverName?: string) {
  return {
    ...(serverName === undefined ? { rejectUnauthorized: true } : tlsChecks({ serverName })),
    get ca() {
      return tls.ca?.read();
    },
  };
}

/** Where a connection leads, for the words about its problems. */
export function endpointOf({ host, port }: Address, { tls }: RedisSettings): Endpoint {
  return { host, port, tls: tls && { ca: tls.ca, cert: undefined, key: undefined, serverName: host } };
}

/** An address as ioredis writes it: an IPv6 address has no brackets. */
export function addressOf(key: string): Address {
  const colon = key.lastIndexOf(":");
  return { host: key.slice(0, colon), port: Number(key.slice(colon + 1)) };
}
