import { randomUUID } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { MessageProperties } from "@pipeline-heartbeat/shared/publish.ts";
import { type Cause, encodeHeartbeat, type Heartbeat } from "@pipeline-heartbeat/shared/heartbeat.ts";
import type { Sign } from "@pipeline-heartbeat/shared/signature.ts";
import { composeHeartbeat, type Detail } from "./compose.ts";
import type { KeptHeartbeat } from "./outbox.ts";
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
  readonly cause: Cause;
  readonly body: Buffer;
  readonly properties: MessageProperties;
}

/** The heartbeats of one boot, and the messages that carry them. */
export interface Messages {
  /** The next one, from what is believed at this moment. */
  next(cause: Cause): Heartbeat;
  /** The same one, with its number and its cause, from what is believed at this moment. */
  renewed(heartbeat: Heartbeat): Heartbeat;
  message(heartbeat: Heartbeat): Message;
  /** Packed, to be sent later as a back-fill. */
  pack(heartbeat: Heartbeat, isChange: boolean): KeptHeartbeat;
  backfill(kept: KeptHeartbeat): Message;
}

/** Counts from the sending. */
const EXPIRATION_MS = 7 * 24 * 60 * 60 * 1000;

/** Begins a boot. */
export function heartbeatMessages(options: MessageOptions): Messages {
  const { site, publishIntervalMs, format, detail, sign, targets } = options;
  const bootId = randomUUID();
  const boot = { site, bootId, startedAtMs: Date.now(), intervalMs: publishIntervalMs, detail };
  let newest = 0;

  function composed(sequence: number, cause: Cause): Heartbeat {
    const beat = { sequence, sentAtMs: Date.now(), uptimeMs: performance.now(), cause };
    return composeHeartbeat(boot, beat, targets());
  }

  function envelope(
    { sequence, sentAtMs }: Pick<Heartbeat, "sequence" | "sentAtMs">,
    cause: Cause,
    body: Buffer,
  ): Message {
    return {
      sequence,
      cause,
      body,
      properties: {
        messageId: `${bootId}/${sequence}`,
        timestampMs: sentAtMs,
        expirationMs: EXPIRATION_MS,
        headers: sign?.(body),
      },
    };
  }

  return {
    next: (cause) => composed((newest += 1), cause),
    renewed: ({ sequence, cause }) => composed(sequence, cause),
    message: (heartbeat) => envelope(heartbeat, heartbeat.cause, encodeHeartbeat(heartbeat, format)),
    pack(heartbeat, isChange) {
      const { sequence, sentAtMs } = heartbeat;
      // With empty lists, so that an upstream subscriber does not take it for news.
      const backfill = { ...heartbeat, cause: "backfill", hosts: [], queues: [], services: [] } as const;
      const deflated = deflateRawSync(encodeHeartbeat(backfill, format));
      // Memory of its own: otherwise it would hold on to a much larger buffer, zlib's or the one that small ones share.
      const packed = Buffer.allocUnsafeSlow(deflated.length);
      deflated.copy(packed);
      return { sequence, sentAtMs, isChange, packed };
    },
    backfill: (kept) => envelope(kept, "backfill", inflateRawSync(kept.packed)),
  };
}
