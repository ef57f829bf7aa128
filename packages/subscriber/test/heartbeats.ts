import type { ReceivedHeartbeat } from "@pipeline-heartbeat/shared/decode.ts";
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
    ...parts,
  };
}

export function component(parts: Partial<ComponentReport> = {}): ComponentReport {
  return { kind: "service", name: "db", state: "up", sinceMs: 900_000, observedAtMs: 1_000_000, ...parts };
}
