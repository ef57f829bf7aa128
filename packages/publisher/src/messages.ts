import { randomUUID } from "node:crypto";
import type { MessageProperties } from "@pipeline-heartbeat/shared/publish.ts";
import { type Cause, encodeHeartbeat } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { Sign } from "@pipeline-heartbeat/shared/signature.ts";
import { composeHeartbeat, type Detail } from "./compose.ts";
import type { WatchedTarget } from "./watch.ts";

export interface MessageOptions {
  readonly site: string;
  readonly publishIntervalMs: number;
  readonly format: 1 | 2;
  readonly detail: Detail;
  /** Absent without a key. */
  readonly sign?: Sign | undefined;
  /** What is believed at this moment. */
  readonly targets: () => readonly WatchedTarget[];
}

export interface Message {
  readonly sequence: number;
  readonly body: Buffer;
  readonly properties: MessageProperties;
}

const EXPIRATION_MS = 7 * 24 * 60 * 60 * 1000;

/** Begins a boot. Each call composes its next heartbeat, from what is believed at that moment. */
export function heartbeatMessages(options: MessageOptions): (cause: Cause) => Message {
  const { site, publishIntervalMs, format, detail, sign, targets } = options;
  const bootId = randomUUID();
  const boot = { site, bootId, startedAtMs: Date.now(), intervalMs: publishIntervalMs, detail };
  let sequence = 0;
  return (cause) => {
    sequence += 1;
    const sentAtMs = Date.now();
    const beat = { sequence, sentAtMs, uptimeMs: performance.now(), cause };
    const body = encodeHeartbeat(composeHeartbeat(boot, beat, targets()), format);
    return {
      sequence,
      body,
      properties: {
        messageId: `${bootId}/${sequence}`,
        timestampMs: sentAtMs,
        expirationMs: EXPIRATION_MS,
        headers: sign?.(body),
      },
    };
  };
}
