import { describe, expect, test } from "vitest";
import { heartbeatMessages } from "../src/messages.ts";
import { watchedTarget } from "./watched.ts";

function messagesOf(components: number) {
  const targets = Array.from({ length: components }, (_, index) =>
    watchedTarget({ name: `component-${index}` }, { sinceMs: index, latencyMs: index / 10 }),
  );
  return heartbeatMessages({
    site: "tsd",
    publishIntervalMs: 60_000,
    format: 2,
    detail: "code",
    targets: () => targets,
  });
}

describe("a heartbeat that was packed", () => {
  test("is sent as it was, but for its cause and the lists of format 1", () => {
    const messages = messagesOf(3);
    const heartbeat = messages.next("change");
    const original = messages.message(heartbeat);
    const { sequence, cause, body, properties } = messages.backfill(messages.pack(heartbeat, true));
    expect({ sequence, cause, properties }).toEqual({ ...original, body: undefined, cause: "backfill" });
    const { v2, ...rest } = JSON.parse(original.body.toString());
    expect(JSON.parse(body.toString())).toEqual({
      ...rest,
      hosts: [],
      rmq_consumers: { queues_status: [], services_status: [] },
      v2: { ...v2, cause: "backfill" },
    });
    expect(v2.components).toHaveLength(3);
  });

  test("takes little room, and holds on to no more than that", () => {
    const messages = messagesOf(100);
    const heartbeat = messages.next("interval");
    const { packed } = messages.pack(heartbeat, false);
    expect(packed.length).toBeLessThan(messages.message(heartbeat).body.length / 10);
    expect(packed.buffer.byteLength).toBe(packed.length);
  });
});

test("a heartbeat that is renewed keeps its number and its cause, and has a time of its own", () => {
  const messages = messagesOf(1);
  const heartbeat = messages.next("change");
  const renewed = messages.renewed(heartbeat);
  expect(renewed).toMatchObject({ sequence: 1, cause: "change", bootId: heartbeat.bootId });
  expect(renewed.uptimeMs).toBeGreaterThan(heartbeat.uptimeMs);
  expect(messages.next("interval").sequence).toBe(2);
});
