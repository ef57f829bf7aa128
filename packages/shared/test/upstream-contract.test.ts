import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeHeartbeat, type Heartbeat, type UpstreamEntry } from "../src/heartbeat.ts";

/** Keys of a Redis that upstream's subscriber writes, with their values. */
type UpstreamKeys = Record<string, string>;

/** What upstream's `Component(**entry)` takes: Python refuses a key that it has no parameter for, and a missing one. */
function component(entry: Record<string, string>) {
  const { name, status, timestamp, ...unexpected } = entry;
  if (Object.keys(unexpected).length > 0) throw new Error("unexpected keyword argument");
  if (name === undefined || status === undefined) throw new Error("missing positional argument");
  return { name, status, timestamp: timestamp ?? "now" };
}

/** Upstream's subscriber.py, process_heartbeat_message. */
function upstreamTakesIn(body: Buffer): UpstreamKeys {
  const keys: UpstreamKeys = {};
  const data = JSON.parse(body.toString());
  const set = (prefix: string, entries: Record<string, string>[]) => {
    for (const { name, status, timestamp } of entries.map(component)) {
      keys[`${prefix}:${name}:${status}`] = timestamp;
    }
  };
  set("service", data["hosts"] ?? []);
  if (data["rmq_consumers"] === undefined) throw new Error("KeyError: rmq_consumers");
  set("service", data["rmq_consumers"]["services_status"] ?? []);
  set("queue", data["rmq_consumers"]["queues_status"] ?? []);
  return keys;
}

/** The names of all keys, of lists those of their entries: what a reader of the message can rely on. */
function shapeOf(message: { hosts: object[]; rmq_consumers: Record<string, object[]> }) {
  const lists = [message.hosts, ...Object.values(message.rmq_consumers)];
  return {
    top: Object.keys(message).toSorted(),
    consumers: Object.keys(message.rmq_consumers).toSorted(),
    entries: [...new Set(lists.flat().map((entry) => Object.keys(entry).toSorted().join()))],
  };
}

const captured = readFileSync(new URL("./vectors/upstream-messages.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n");

const atMs = fc.integer({ min: Date.UTC(2000), max: Date.UTC(2100) });
const state = fc.constantFrom("up", "down", "unknown");
const entry: fc.Arbitrary<UpstreamEntry> = fc.record({
  name: fc.string({ unit: "grapheme", minLength: 1 }),
  state,
  observedAtMs: atMs,
});
const entries = fc.array(entry, { minLength: 1, maxLength: 5 });
const heartbeats: fc.Arbitrary<Heartbeat> = fc.record({
  site: fc.constantFrom("tsd", "default"),
  bootId: fc.uuid(),
  sequence: fc.integer({ min: 1 }),
  startedAtMs: atMs,
  sentAtMs: atMs,
  uptimeMs: fc.nat(),
  intervalMs: fc.integer({ min: 100, max: 86_400_000 }),
  cause: fc.constantFrom("interval", "change", "goodbye", "backfill"),
  hosts: entries,
  queues: entries,
  services: entries,
  components: fc.array(
    fc.record({
      kind: fc.constantFrom("service", "queue"),
      name: fc.string({ minLength: 1 }),
      state,
      probe: fc.constant("tcp"),
      reason: fc.constantFrom("timeout", undefined),
      detail: fc.constantFrom("no answer", undefined),
      sinceMs: atMs,
      observedAtMs: atMs,
      latencyMs: fc.nat(),
    }),
  ),
});

describe("whatever a publisher has to tell", () => {
  test("format 1 has the keys of what upstream sent, no more and no less", () => {
    const shapes = captured.map((line) => shapeOf(JSON.parse(line)));
    fc.assert(
      fc.property(heartbeats, (heartbeat) => {
        const message = JSON.parse(encodeHeartbeat(heartbeat, 1).toString());
        for (const { top, consumers } of shapes) expect(shapeOf(message)).toMatchObject({ top, consumers });
        expect(shapeOf(message).entries).toEqual(["name,status,timestamp"]);
        expect(message).toMatchObject({ status: "heartbeat", service: "publisher" });
        expect(message.timestamp).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
      }),
    );
  });

  test("format 2 adds one key at the top, and changes nothing beside it", () => {
    fc.assert(
      fc.property(heartbeats, (heartbeat) => {
        const { v2, ...rest } = JSON.parse(encodeHeartbeat(heartbeat, 2).toString());
        expect(rest).toEqual(JSON.parse(encodeHeartbeat(heartbeat, 1).toString()));
        expect(v2).toMatchObject({ sequence: heartbeat.sequence });
      }),
    );
  });

  test.each([1, 2] as const)(
    "upstream's subscriber takes in format %i and writes what is the case",
    (format) => {
      fc.assert(
        fc.property(heartbeats, (heartbeat) => {
          const keys = upstreamTakesIn(encodeHeartbeat(heartbeat, format));
          const { hosts, services, queues } = heartbeat;
          const expected = [
            ...[...hosts, ...services].map(
              ({ name, state }) => `service:${name}:${state === "up" ? "ok" : "not_ok"}`,
            ),
            ...queues.map(({ name, state }) => `queue:${name}:${state === "up" ? "ok" : "not_ok"}`),
          ];
          expect(new Set(Object.keys(keys))).toEqual(new Set(expected));
          for (const value of Object.values(keys))
            expect(value).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
        }),
      );
    },
  );
});

test("upstream's subscriber writes nothing for what comes late, whatever it tells", () => {
  fc.assert(
    fc.property(heartbeats, (heartbeat) => {
      const backfill = { ...heartbeat, cause: "backfill", hosts: [], queues: [], services: [] } as const;
      expect(upstreamTakesIn(encodeHeartbeat(backfill, 2))).toEqual({});
    }),
  );
});

test("upstream's subscriber, as it is mirrored here, takes in what upstream sent", () => {
  const names = captured.flatMap((line) => Object.keys(upstreamTakesIn(Buffer.from(line))));
  expect(names).toContain("service:mq-interceptor:not_ok");
});

test.each([
  {
    what: "a key more in an entry",
    message: { hosts: [{ name: "a", status: "ok", timestamp: "t", since: 1 }], rmq_consumers: {} },
  },
  { what: "no rmq_consumers", message: { hosts: [] } },
])("$what would end upstream's subscriber", ({ message }) => {
  expect(() => upstreamTakesIn(Buffer.from(JSON.stringify(message)))).toThrow(/unexpected|KeyError/);
});
