import type { RabbitmqAddress, RedisAddress } from "./addresses.ts";

/** Something that runs until it is stopped. Stopping twice is fine; both calls end when it has stopped. */
export interface Started<Address> {
  readonly address: Address;
  readonly stop: () => Promise<void>;
}

type Start<Address> = (signal: AbortSignal) => Promise<Started<Address>>;

/** Takes over the releases of what has started, so that only `stop` runs them from here on. */
export function started<Address>(address: Address, releases: AsyncDisposableStack): Started<Address> {
  const owned = releases.move();
  let stopping: Promise<void> | undefined;
  return { address, stop: () => (stopping ??= owned.disposeAsync()) };
}

/** Starts the two side by side. When one fails the other is called off and stopped before the failure is passed on. */
export async function startBoth(
  rabbitmq: Start<RabbitmqAddress>,
  redis: Start<RedisAddress>,
  signal: AbortSignal,
): Promise<Started<{ rabbitmq: RabbitmqAddress; redis: RedisAddress }>> {
  await using releases = new AsyncDisposableStack();
  const callingOff = new AbortController();
  const both = AbortSignal.any([signal, callingOff.signal]);

  async function start<Address>(begin: Start<Address>): Promise<Address> {
    const { address, stop } = await begin(both);
    releases.defer(stop);
    return address;
  }
  const starts = [start(rabbitmq), start(redis)] as const;
  try {
    const addresses = await Promise.all(starts);
    signal.throwIfAborted();
    return started({ rabbitmq: addresses[0], redis: addresses[1] }, releases);
  } catch (error) {
    callingOff.abort(error);
    await Promise.allSettled(starts);
    throw error;
  }
}
