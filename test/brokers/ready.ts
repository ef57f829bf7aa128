import { setTimeout as sleep } from "node:timers/promises";
import { managementHeaders, managementUrl, type RabbitmqAddress } from "./addresses.ts";
import { tryAmqpLogin } from "./amqp-login.ts";
import { connectRedis, type RedisPlace } from "./redis-connection.ts";

const READY_WITHIN_MS = 120_000;
const ONE_CHECK_WITHIN_MS = 5_000;
const BETWEEN_CHECKS_MS = 100;

export interface Readiness {
  readonly name: string;
  /** Rejects as long as it is not ready. */
  readonly check: (signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  /** Rejects when there is nothing left to wait for. */
  readonly failed?: Promise<never>;
  readonly withinMs?: number;
  /** Told when the time is over. */
  readonly logTail?: () => string;
}

/** Resolves when `check` does; rejects as `failed` does, with the signal's reason, or when the time is over. */
export async function untilReady(readiness: Readiness): Promise<void> {
  const givingUp = new AbortController();
  const polling = poll(readiness, AbortSignal.any([readiness.signal, givingUp.signal]));
  try {
    await Promise.race([polling, ...(readiness.failed ? [readiness.failed] : [])]);
  } finally {
    givingUp.abort();
  }
}

async function poll({ name, check, withinMs, logTail }: Readiness, signal: AbortSignal): Promise<void> {
  const limitMs = withinMs ?? READY_WITHIN_MS;
  const waiting = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  let problem: unknown;
  while (!waiting.aborted) {
    try {
      await check(AbortSignal.any([waiting, AbortSignal.timeout(ONE_CHECK_WITHIN_MS)]));
      return;
    } catch (error) {
      problem = error;
    }
    await sleep(BETWEEN_CHECKS_MS, undefined, { signal: waiting }).catch(() => {});
  }
  signal.throwIfAborted();
  const log = logTail ? `\n${logTail()}` : "";
  throw new Error(`${name} is not ready after ${limitMs / 1_000} s: ${reasonOf(problem)}${log}`, {
    cause: problem,
  });
}

/**
 * Rejects unless the management API answers and AMQP accepts a login. With a node's name, it must also be that node:
 * another RabbitMQ may have taken the port while ours was starting.
 */
export async function checkRabbitmq(
  address: RabbitmqAddress,
  signal: AbortSignal,
  node?: string,
): Promise<void> {
  const response = await fetch(managementUrl(address, "overview"), {
    headers: managementHeaders(address),
    signal,
  });
  if (response.status !== 200) throw new Error(`the management api answers ${response.status}`);
  const overview = await response.text();
  if (node && !overview.includes(`"node":"${node}"`))
    throw new Error("address already in use by another rabbitmq");
  await tryAmqpLogin(address, signal);
}

/** Rejects unless Redis answers; with a process id, unless it is that process's Redis. */
export async function checkRedis(address: RedisPlace, pid?: number): Promise<void> {
  const redis = await connectRedis(address);
  try {
    const info = String(await redis.command("INFO", "server"));
    if (pid && !info.includes(`process_id:${pid}\r`))
      throw new Error("address already in use by another redis");
  } finally {
    redis.close();
  }
}

/** `fetch` says what happened only in its cause, and a `localhost` that refuses has no message but a code. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause) return reasonOf(error.cause);
  return error.message || ("code" in error ? String(error.code) : error.name);
}
