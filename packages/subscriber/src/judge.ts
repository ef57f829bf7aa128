import type { Delivery } from "@pipeline-heartbeat/shared/consume.ts";
import {
  decodeHeartbeat,
  MAX_BODY_BYTES,
  type ReceivedHeartbeat,
} from "@pipeline-heartbeat/shared/decode.ts";
import type { Verify } from "@pipeline-heartbeat/shared/signature.ts";
import { rejection } from "./rejection.ts";
import type { Rejected } from "./store.ts";

export interface Received {
  readonly heartbeat: ReceivedHeartbeat;
  readonly delivery: Delivery;
}

/**
 * What a message is worth by itself: a heartbeat, or the reason for refusing it. What is too large is refused unread, and
 * what is not signed as it has to be before it is parsed. Without `verify` signatures do not matter. Never throws.
 */
export function judge(
  defaultSite: string,
  verify: Verify | undefined,
): (delivery: Delivery) => Received | Rejected {
  return (delivery) => {
    const { body, headers, receivedAtMs, problem } = delivery;
    if (problem === "too_large" || body.byteLength > MAX_BODY_BYTES) {
      return rejection("too_large", `larger than ${MAX_BODY_BYTES} bytes`, delivery);
    }
    if (problem === "unreadable_headers") {
      return rejection("not_a_heartbeat", "its headers cannot be read", delivery);
    }
    const verified = verify?.(body, headers);
    if (verified?.ok === false) return rejection(verified.code, verified.problem, delivery);
    const decoded = decodeHeartbeat(body, receivedAtMs);
    if (!decoded.ok) return rejection("not_a_heartbeat", decoded.problem, delivery);
    const { heartbeat } = decoded;
    const site = heartbeat.site ?? defaultSite;
    if (verified?.speaksFor(site) === false) {
      return rejection("wrong_site", `key '${verified.keyId}' does not speak for site '${site}'`, delivery);
    }
    return { heartbeat, delivery };
  };
}
