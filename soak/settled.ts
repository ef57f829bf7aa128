import { setTimeout as sleep } from "node:timers/promises";
import type { HealthWatch } from "./health-watch.ts";
import { SITES } from "./sites.ts";
import type { World } from "./world.ts";

const POLL_MS = 100;

/** Whether every service says that it works, and both subscribers that they hear every site. */
export async function isSettled(world: World, health: HealthWatch): Promise<boolean> {
  const ready = await Promise.all(world.services.map((service) => world.isReady(service)));
  return ready.every(Boolean) && unheard(world, health).length === 0;
}

function unheard(world: World, health: HealthWatch): string[] {
  return world.subscribers.flatMap((subscriber) => {
    const told = health.last.get(subscriber)?.sites ?? [];
    const missing = SITES.filter((site) => told.find((listed) => listed.site === site)?.state !== "fresh");
    return missing.map((site) => `${subscriber.name} does not hear ${site}`);
  });
}

export function unsettled(world: World, health: HealthWatch): string {
  return unheard(world, health).join(", ") || "a service is not ready";
}

/** Whether it became true in time. */
export async function within(
  ms: number,
  isTrue: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<boolean> {
  for (const untilMs = performance.now() + ms; performance.now() < untilMs;) {
    if (await isTrue()) return true;
    await sleep(POLL_MS, undefined, { signal });
  }
  return false;
}
