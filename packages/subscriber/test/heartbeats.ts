import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
import type { ApplyRules, Receipt } from "../src/apply.ts";
import type { View } from "../src/verdict.ts";
import type { ComponentReport } from "@pipeline-heartbeat/shared/heartbeat.ts";

/** A heartbeat of format 2, all of whose parts can be replaced. */
export function heartbeat(parts: Partial<ReceivedHeartbeat> = {}): ReceivedHeartbeat {
  return {
    format: 2,
    site: "tsd",
    bootId: "boot-1",
    sequence: 1,
    sentAtMs: 1_000_000,
    uptimeMs: 1_000,
    intervalMs: 60_000,
    cause: "interval",
    components: [component({ observedAtMs: parts.sentAtMs ?? 1_000_000 })],
    upstreamEntries: [],
    ...parts,
  };
}

export function component(parts: Partial<ComponentReport> = {}): ComponentReport {
  return { kind: "service", name: "db", state: "up", sinceMs: 900_000, observedAtMs: 1_000_000, ...parts };
}

/** A message that came at once, when it was sent or at another time. */
export function receipt(receivedAtMs: number, parts: Partial<Receipt> = {}): Receipt {
  return { receivedAtMs, hasWaited: false, clockSetAtMs: 0, ...parts };
}

export const rules: ApplyRules = { expectedIntervalMs: 60_000, silenceFactor: 2.5 };

/** What a subscriber sees that is connected and has taken in everything. */
export const connected: View = {
  brokerAwaySinceMs: undefined,
  isCatchingUp: false,
  storeTrouble: undefined,
};
