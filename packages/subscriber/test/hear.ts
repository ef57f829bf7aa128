import { expect } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import type { SiteRecord } from "../src/site-record.ts";
import type { Store } from "../src/store.ts";
import { component, heartbeat, receipt, rules } from "./heartbeats.ts";

type Components = Parameters<typeof component>[0][];

/** Whole seconds, as the reader's keys have them. */
export const startMs = Math.floor(Date.now() / 1_000) * 1_000;
let sequence = 0;

/** Applies a heartbeat that was sent `atMs`, as the subscriber does. */
export async function hear(
  store: Store,
  site: string,
  components: Components,
  atMs = startMs,
  receivedAtMs = atMs,
): Promise<SiteRecord> {
  sequence += 1;
  const before = await store.load(site);
  const reports = components.map((parts) => component({ sinceMs: atMs, observedAtMs: atMs, ...parts }));
  const message = heartbeat({ site, sequence, sentAtMs: atMs, components: reports });
  const { record } = applyHeartbeat(before.record, message, site, receipt(receivedAtMs), rules);
  if (!record) throw new Error("not applied");
  expect(await store.commit(before, record, [])).toBe("committed");
  return record;
}
