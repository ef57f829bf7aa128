import type { RabbitmqAddress } from "../../test/brokers/addresses.ts";

/** A server of the soak's own. Its address stays the same. */
export interface Server<Address> {
  readonly address: Address;
  /** Ends it as `kill -9` does; what it has on its disk stays. */
  kill(): Promise<void>;
  /** Starts it again after a `kill`; resolves when it is ready. */
  restart(): Promise<void>;
}

export interface Servers {
  readonly source: "containers" | "local";
  readonly rabbitmq: Server<RabbitmqAddress> & {
    /** Runs rabbitmqctl; rejects when that fails. */
    control(...args: string[]): Promise<void>;
  };
  /** Writes each command to its disk before it answers. */
  readonly redis: Server<{ readonly host: string; readonly port: number }>;
  /** Ends both and removes their folders. Safe to call twice. */
  stop(): Promise<void>;
}

/** What Redis is started with: the soak wants to know what was really lost, and to have it hang. */
export const REDIS_ARGUMENTS = [
  ["--save", ""],
  ["--appendonly", "yes"],
  ["--appendfsync", "always"],
].flat();
