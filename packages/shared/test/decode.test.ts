import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeHeartbeat, MAX_BODY_BYTES, type ReceivedHeartbeat } from "../src/decode.ts";
import { encodeHeartbeat, type Heartbeat } from "../src/heartbeat.ts";

const T = Date.UTC(2026, 10, 22, 10, 35, 6);

const heartbeat: Heartbeat = {
  site: "tsd",
  bootId: "7b0c",
  sequence: 42,
  startedAtMs: T,
  sentAtMs: T,
  uptimeMs: 1,
  intervalMs: 60_000,
  cause: "interval",
  hosts: [{ name: "db", state: "up", observedAtMs: T }],
  queues: [{ name: "inbox", state: "down", observedAtMs: T }],
  services: [],
  components: [
    { kind: "service", name: "db", state: "up", sinceMs: T, observedAtMs: T, latencyMs: 1 },
    {
      kind: "queue",
      name: "inbox",
      state: "unknown",
      reason: "parent_down",
      because: "service:db",
      severity: "warn",
      values: { messages_ready: 3 },
      observedAtMs: T,
    },
  ],
};
const valid: unknown = JSON.parse(encodeHeartbeat(heartbeat, 2).toString());

/** What JSON can hold and nobody expects. */
const oddValue = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(
    null,
    "",
    "\u0000\u001b[2J\r\n\u202e\u2028",
    "\ud800",
    "__proto__",
    "constructor",
    "0000-01-01 00:00:00 UTC",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
    "+275760-09-13T00:00:00Z",
    "-000001-01-01T00:00:00Z",
    "2026-11-22T10:35:06+99:99",
    -0,
    2 ** 64,
    1.7e308,
    5e-324,
    Number.MAX_SAFE_INTEGER,
  ),
);

/** A valid heartbeat of which some places hold something else; `1e400` is written where JavaScript has no number for it. */
const mutated = fc
  .array(fc.record({ place: fc.nat(60), value: oddValue, isHuge: fc.boolean() }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((changes) => {
    const message = structuredClone(valid);
    for (const { place, value, isHuge } of changes) {
      const places = placesOf(message);
      const at = places[place % places.length];
      if (at) Reflect.set(at.holder, at.key, isHuge ? "HUGE" : value);
    }
    return Buffer.from(JSON.stringify(message).replaceAll('"HUGE"', "1e400"));
  });

function placesOf(value: unknown): { holder: object; key: string }[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [{ holder: value, key }, ...placesOf(inner)]);
}

const cut = fc
  .tuple(fc.nat(2_000), fc.uint8Array({ maxLength: 4 }))
  .map(([length, bytes]) => Buffer.concat([Buffer.from(JSON.stringify(valid)).subarray(0, length), bytes]));

describe("whatever the body, it is a heartbeat of which every part can be used, or a problem in one line", () => {
  test.each([
    { what: "a heartbeat with odd values", body: mutated },
    { what: "a heartbeat that was cut off", body: cut },
    { what: "any JSON", body: fc.json().map((text) => Buffer.from(text)) },
    { what: "any bytes", body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  ])("$what", ({ body }) => {
    fc.assert(
      fc.property(body, (bytes) => {
        const decoded = decodeHeartbeat(bytes, T);
        if (decoded.ok) expectUsable(decoded.heartbeat);
        else expect(decoded.problem).toMatch(/^[ -~]{1,220}$/);
      }),
      { numRuns: 2_000 },
    );
  });
});

function expectUsable({ sentAtMs, uptimeMs = 0, components }: ReceivedHeartbeat): void {
  for (const atMs of [sentAtMs, ...components.map(({ observedAtMs }) => observedAtMs)]) {
    expect(new Date(atMs).toISOString()).toMatch(/^\d{4}-/);
    expect(atMs).toBeGreaterThanOrEqual(0);
  }
  expect(new Date(T - uptimeMs).toISOString()).toMatch(/^\d{4}-/);
  expect(components.every(({ name }) => name.isWellFormed())).toBe(true);
  const values = components.flatMap((component) => Object.values(component.values ?? {}));
  expect(values.filter((value) => !Number.isFinite(value))).toEqual([]);
}

describe("what fills a body to the brim takes no more than a moment", () => {
  const start = '{"status":"heartbeat","timestamp":"x","rmq_consumers":{},"hosts":[';
  const full = (unit: string, end: string) => {
    const times = Math.floor((MAX_BODY_BYTES - start.length - end.length) / (unit.length + 1));
    return start + Array(times).fill(unit).join(",") + end;
  };
  test.each([
    { what: "350,000 empty objects", body: full("{}", "]}"), problem: "not a heartbeat: too many objects" },
    { what: "half a million wrong entries", body: full("1", "]}"), problem: "hosts: is no list of at most" },
    {
      what: "15,000 entries that lack everything",
      body: `${start}${Array(15_000).fill("{}").join(",")}]}`,
      problem: "hosts.0.name",
    },
    { what: "nesting", body: '{"a":'.repeat(150_000), problem: "not a heartbeat: too many objects" },
    { what: "one number", body: "1".repeat(MAX_BODY_BYTES), problem: "not a heartbeat" },
    {
      what: "as many keys as fit",
      body: `{${Array.from({ length: 80_000 }, (_, key) => `"k${key}":1`).join(",")}}`,
      problem: "not a heartbeat: status",
    },
  ])("$what", ({ body, problem }) => {
    const startedMs = performance.now();
    const decoded = decodeHeartbeat(Buffer.from(body), T);
    // Tens of milliseconds; a hundred thousand problems took seconds.
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(decoded).toEqual({ ok: false, problem: expect.stringContaining(problem) });
  });

  test("as many entries as upstream can fit are a heartbeat, of one name or of many", () => {
    const entry = (name: string) => `{"name":"${name}","status":"ok","timestamp":"2026-11-22 10:35:06 UTC"}`;
    const names = Array.from({ length: 14_000 }, (_, index) => entry(`n${index}`));
    for (const [entries, components] of [
      [names, 14_000],
      [names.map(() => entry("n")), 1],
    ] as const) {
      const decoded = decodeHeartbeat(Buffer.from(`${start}${entries.join(",")}]}`), T);
      expect(decoded.ok && decoded.heartbeat.components.length).toBe(components);
    }
  });

  test.each(["__proto__", "constructor", "toString", "\u001b[2J\n\u202e"])(
    "names such as %j and keys such as __proto__ do no harm",
    (name) => {
      const text = JSON.stringify(valid).replaceAll('"db"', JSON.stringify(name));
      const decoded = decodeHeartbeat(Buffer.from(text.replace("{", '{"__proto__":{"status":"x"},')), T);
      expect(decoded).toMatchObject({ ok: true, heartbeat: { components: [{ name }, {}] } });
      expect({}).not.toHaveProperty("status");
    },
  );
});
