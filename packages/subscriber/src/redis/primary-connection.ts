import type { Address } from "@pipeline-heartbeat/shared/address.ts";
import { connectionProblem } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import { Redis } from "ioredis";
import type { RedisSettings, ServersOf } from "../redis-config.ts";
import {
  addressOf,
  COMMAND_TIMEOUT_MS,
  endpointOf,
  type RedisProblems,
  renewedTlsOptions,
  retryMs,
  serverOptions,
} from "./options.ts";
import { oneAtATime, unreachable } from "./unreachable.ts";

const LOADING_RETRY_MS = 250;

/** A connection to whatever server the sentinels name as the primary and that says so itself. */
export function connectPrimary(
  { sentinels, primaryName, db }: ServersOf<"sentinels">,
  settings: RedisSettings,
  { away }: RedisProblems,
): Redis {
  let primary: Address | undefined;
  const tls = settings.tls && renewedTlsOptions(settings.tls);
  const redis = new Redis({
    ...serverOptions(settings, db),
    // It is asked whether it is a primary.
    enableReadyCheck: true,
    maxLoadingRetryTime: LOADING_RETRY_MS,
    sentinels: [...sentinels],
    name: primaryName,
    // The others that a sentinel knows may have addresses that mean nothing here.
    updateSentinels: false,
    sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
    sentinelRetryStrategy: retryMs,
    // It maps nothing: a connection's errors do not tell where it should have led.
    natMap: (key) => {
      primary = addressOf(key);
      return null;
    },
    ...(tls && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
  });

  const words = new Map<string, string>();
  redis.on("sentinelError", (error: unknown) => {
    const text = error instanceof Error ? error.message : "";
    const [, key, word] = /sentinel (\S+) (?:because (.*)|successfully, but)/s.exec(text) ?? [];
    // Most sentinels have no password: ioredis would complain on stderr each time that one is given in vain.
    const isPasswordWanted = word?.startsWith("NOAUTH") && redis.options.sentinelPassword === undefined;
    if (isPasswordWanted && settings.password !== undefined)
      redis.options.sentinelPassword = settings.password;
    else if (key !== undefined) words.set(key, word ?? "does not know it");
  });
  const tellOfSentinels = oneAtATime(async () => {
    const reasons = await unreachable(
      sentinels.map((sentinel) => endpointOf(sentinel, settings)),
      words,
    );
    words.clear();
    if (reasons) away(`no sentinel tells where the primary ${primaryName} is: ${reasons}`);
  });
  redis.on("error", (error: unknown) => {
    const text = errorText(error);
    if (text.startsWith("All sentinels are unreachable")) return tellOfSentinels();
    const problem = primary ? connectionProblem(error, endpointOf(primary, settings)) : text;
    away(`primary ${primaryName}: ${problem}`);
  });
  return redis;
}
