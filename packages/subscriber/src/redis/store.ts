import { Cluster } from "ioredis";
import { RefusedError, type Store } from "../store.ts";
import { clusterStore } from "./cluster-store.ts";
import { commandProblem, type RedisClient, refusalOf } from "./connection.ts";
import { serverStore } from "./server-store.ts";

/** The answer to whoever asks takes a moment as well. */
const ANSWER_WITHIN_MS = 1_800;

export interface RedisStoreOptions {
  readonly maxSites: number;
  /** Whether the old keys are written for the program that reads them; in a cluster they never are. */
  readonly readerKeys: "reader-safe" | "upstream" | "off";
}

/** The store in Redis. */
export function redisStore(redis: RedisClient, options: RedisStoreOptions): Store {
  const store = redis instanceof Cluster ? clusterStore(redis, options) : serverStore(redis, options);
  const refusal = refusalOf(redis);
  const readable: Wrap = (method) => inWords(method, refusal);
  const inTime: Wrap = (method) => readable(soon(method));
  return {
    load: inTime(store.load),
    loadHistory: inTime(store.loadHistory),
    loadAll: inTime(store.loadAll),
    commit: inTime(store.commit),
    commitEvents: inTime(store.commitEvents),
    // Among many keys of the reader it may take longer.
    forget: readable(store.forget),
    writeAsUpstream: inTime(store.writeAsUpstream),
    reconcileReader: readable(store.reconcileReader),
    generation: inTime(store.generation),
    due: inTime(store.due),
    tellUnknownSites: inTime(store.tellUnknownSites),
    quarantine: inTime(store.quarantine),
    ping: inTime(store.ping),
  };
}

type Method<Arguments extends unknown[], Result> = (...given: Arguments) => Promise<Result>;
type Wrap = <Arguments extends unknown[], Result>(
  method: Method<Arguments, Result>,
) => Method<Arguments, Result>;

/** Several commands in a row may each be late. What is not waited for any more may still happen. */
function soon<Arguments extends unknown[], Result>(method: Method<Arguments, Result>) {
  return async (...given: Arguments): Promise<Result> => {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error("no answer in time")), ANSWER_WITHIN_MS);
    try {
      return await Promise.race([method(...given), late]);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** ioredis tells of its own options; the operator wants to know what is the matter. */
function inWords<Arguments extends unknown[], Result>(
  method: Method<Arguments, Result>,
  refusal: () => string | undefined,
) {
  return async (...given: Arguments): Promise<Result> => {
    try {
      return await method(...given);
    } catch (error) {
      const problem = commandProblem(error, refusal());
      throw isRefused(error)
        ? new RefusedError(problem, { cause: error })
        : new Error(problem, { cause: error });
    }
  };
}

/** A script that stumbles over what it was given; not one that Redis cannot run at this time. */
function isRefused(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== "ReplyError") return false;
  return /^(ERR|WRONGTYPE)\b.*script/s.test(error.message) && !NOT_NOW.test(error.message);
}

/** Codes first, then the words of those that have none; those about permissions are from Redis 7.0, then 7.2 and later. */
const NOT_NOW = new RegExp(
  [
    "OOM|READONLY|LOADING|MISCONF|NOREPLICAS|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOPERM",
    "can't (run|access)|ACL failure in script",
    "cluster is down|non local key|killed by user",
  ].join("|"),
);
