import { constants } from "node:os";
import type { TestProject } from "vitest/node";
import { startBrokers, type Brokers } from "./brokers.ts";

declare module "vitest" {
  export interface ProvidedContext {
    rabbitmq: Brokers["rabbitmq"];
    redis: Brokers["redis"];
  }
}

const ENDING_SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Starts the brokers once for all integration tests; vitest calls what it returns when the last one is done. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const callingOff = new AbortController();
  const starting = startBrokers({
    fromEnvironment: true,
    say: (line) => process.stderr.write(`${line}\n`),
    signal: callingOff.signal,
  });
  async function stop(): Promise<void> {
    callingOff.abort(new Error("called off"));
    const brokers = await starting.catch(() => undefined);
    await brokers?.stop();
  }
  const forget = beforeSignals(stop);

  const { rabbitmq, redis } = await starting;
  project.provide("rabbitmq", rabbitmq);
  project.provide("redis", redis);
  return async () => {
    await stop();
    forget();
  };
}

/**
 * Runs `stop` before whatever else listens for a signal: vitest ends the process a millisecond after one. A second
 * signal does not wait. Returns what gives the signals back.
 */
function beforeSignals(stop: () => Promise<void>): () => void {
  const releases = ENDING_SIGNALS.map((signal) => {
    const others = process.listeners(signal);
    process.removeAllListeners(signal);
    let handling = false;
    async function handle(): Promise<void> {
      if (handling) process.exit(128 + constants.signals[signal]);
      handling = true;
      await stop().catch(() => {});
      for (const other of others) Reflect.apply(other, process, [signal, constants.signals[signal]]);
      if (others.length === 0) process.exit(128 + constants.signals[signal]);
    }
    const listener = () => void handle();
    process.on(signal, listener);
    return () => {
      process.off(signal, listener);
      for (const other of others) process.on(signal, other);
    };
  });
  return () => {
    for (const release of releases) release();
  };
}
