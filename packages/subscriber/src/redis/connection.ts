import { connectionProblem } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { type TlsSettings, tlsOptions } from "@pipeline-heartbeat/shared/tls.ts";
import { Redis } from "ioredis";

export interface RedisSettings {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: TlsSettings | undefined;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Together with the answer to it, within the 2 s in which /health must answer. */
const COMMAND_TIMEOUT_MS = 1_500;
const MAX_RETRY_MS = 500;
/** Commands wait for an answer at least every sweep: a connection that stays mute this long is dead. */
const SOCKET_TIMEOUT_MS = 5_000;

/** A connection that comes back by itself. While it is away, commands fail at once instead of waiting in memory. */
export function connectRedis(settings: RedisSettings, onProblem: (problem: string) => void): Redis {
  const { host, port, db, username, password, tls } = settings;
  const redis = new Redis({
    host,
    port,
    db,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls: renewedTlsOptions(tls) }),
    connectionName: "pipeline-heartbeat-subscriber",
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(attempt * 50, MAX_RETRY_MS),
  });
  redis.on("error", (error: unknown) => {
    onProblem(connectionProblem(error, { host, port, tls }));
    // ioredis would go on in database 0, which is somebody else's.
    if (isRefusedSelect(error)) redis.disconnect(true);
  });
  return redis;
}

/** ioredis copies them for each connection, and with them the certificates of then. */
function renewedTlsOptions(tls: TlsSettings) {
  return {
    ...tlsOptions(tls),
    get ca() {
      return tls.ca?.read();
    },
  };
}

function isRefusedSelect(error: unknown): boolean {
  if (!(error instanceof Error) || !("command" in error)) return false;
  const { command } = error;
  return typeof command === "object" && command !== null && "name" in command && command.name === "select";
}

/** What is the matter when a command fails, in words. */
export function commandProblem(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (/isn't writeable|Connection is closed|max retries per request/i.test(text)) return "not connected";
  return text === "Command timed out" ? "no answer in time" : text;
}
