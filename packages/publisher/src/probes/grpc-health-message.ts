/** The two messages of grpc.health.v1, encoded by hand: they have one field each. */

/** `ServingStatus`, by its numbers. */
const SERVING_STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"] as const;

export type ServingStatus = (typeof SERVING_STATUSES)[number];

const MAX_VARINT_BYTES = 10;

/** `HealthCheckRequest`, whose first field is the service's name; the empty one asks about the whole server. */
export function healthCheckRequest(service: string): Buffer {
  if (service === "") return Buffer.alloc(0);
  const name = Buffer.from(service);
  return Buffer.concat([Buffer.of(0x0a), varint(name.length), name]);
}

function varint(value: number): Buffer {
  const bytes = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.of(...bytes, rest);
}

/**
 * What `HealthCheckResponse` says; undefined when it is no such message. Fields that nobody knows are passed over, and the
 * last of several counts, as protobuf has it. A number that no status has is none, even where protobuf would cut it down
 * to one.
 */
export function servingStatus(message: Buffer): ServingStatus | "UNRECOGNIZED" | undefined {
  let status: ServingStatus | "UNRECOGNIZED" = "UNKNOWN";
  let at = 0;

  function nextVarint(): bigint | undefined {
    let value = 0n;
    for (let count = 0; count < MAX_VARINT_BYTES; count += 1) {
      const byte = message[at];
      if (byte === undefined) return undefined;
      at += 1;
      value |= BigInt(byte & 0x7f) << BigInt(7 * count);
      if (byte < 0x80) return value;
    }
    return undefined;
  }

  while (at < message.length) {
    const key = nextVarint();
    if (key === undefined || key >> 3n === 0n) return undefined;
    const wireType = Number(key & 7n);
    if (wireType === 0) {
      const value = nextVarint();
      if (value === undefined) return undefined;
      if (key >> 3n === 1n) status = SERVING_STATUSES[Number(value)] ?? "UNRECOGNIZED";
      continue;
    }
    const length = { 1: 8n, 2: wireType === 2 ? nextVarint() : 0n, 5: 4n }[wireType];
    if (length === undefined || BigInt(message.length - at) < length) return undefined;
    at += Number(length);
  }
  return status;
}
