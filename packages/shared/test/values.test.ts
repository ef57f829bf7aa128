import { describe, expect, test } from "vitest";
import { decodeHeartbeat } from "../src/decode.ts";
import { type ComponentReport, encodeHeartbeat, type Heartbeat } from "../src/heartbeat.ts";

const T = Date.UTC(2026, 10, 22, 10, 35, 6);
const certificate: ComponentReport = { kind: "service", name: "tls", state: "up", observedAtMs: T };

function encoded(components: readonly ComponentReport[], format: 1 | 2 = 2): string {
  const none = { hosts: [], queues: [], services: [] };
  const times = { startedAtMs: T, sentAtMs: T, uptimeMs: 1, intervalMs: 60_000 };
  const heartbeat: Heartbeat = {
    site: "tsd",
    bootId: "7b0c",
    sequence: 1,
    cause: "interval",
    components,
    ...times,
    ...none,
  };
  return encodeHeartbeat(heartbeat, format).toString();
}

/** The components that come out of a body, or why nothing does. */
function decoded(body: string): readonly ComponentReport[] | string {
  const result = decodeHeartbeat(Buffer.from(body), T);
  return result.ok ? result.heartbeat.components : result.problem;
}

/** What comes of a component with these keys, as they stand in the message. */
function received(keys: string): readonly ComponentReport[] | string {
  return decoded(encoded([certificate]).replace('"name":"tls"', `"name":"tls",${keys}`));
}

const sixteen = Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`v${index}`, index]));

describe("values, severity and because", () => {
  test.each<{ what: string; parts: Partial<ComponentReport> }>([
    { what: "values", parts: { values: { certificate_days_left: 12.4, messages_ready: 3 } } },
    {
      what: "numbers to the last digit",
      parts: {
        values: { free_bytes: 123456789012345, seconds: 0.1234567890123456, below: -1e15, z: 5e-324 },
      },
    },
    { what: "no values at all", parts: { values: {} } },
    { what: "sixteen of them", parts: { values: sixteen } },
    {
      what: "the longest name, and such as every object has",
      parts: { values: { ["a".repeat(64)]: 1, constructor: 2, hasownproperty: 3 } },
    },
    { what: "a severity", parts: { state: "down", severity: "warn" } },
    { what: "a cause", parts: { state: "unknown", because: `queue:${"x".repeat(255)}` } },
    { what: "a cause with an odd name", parts: { state: "unknown", because: "service:service:\n🙂" } },
  ])("come back as they were sent: $what", ({ parts }) => {
    const sent = { ...certificate, ...parts };
    expect(decoded(encoded([sent]))).toEqual([sent]);
  });

  test("are not in format 1", () => {
    const sent = { ...certificate, values: { a: 1 }, severity: "warn", because: "service:b" } as const;
    expect(encoded([sent], 1)).toBe(encoded([], 1));
  });

  test("what could not be taken in is not sent: it would have the whole heartbeat refused", () => {
    const values = { ...sixteen, Days: 1, "": 1, nan: NaN, infinite: -Infinity, large: 1.1e15 };
    expect(decoded(encoded([{ ...certificate, values: { ...values, v16: 16 } }]))).toMatchObject([
      { values: sixteen },
    ]);
    expect(decoded(encoded([{ ...certificate, values: { nan: NaN } }]))).toMatchObject([{ values: {} }]);
  });

  test.each([
    { what: "a name that is none", keys: '"values":{"Days":1}', problem: "components.0.values" },
    { what: "a name with a line break", keys: '"values":{"days\\n":1}', problem: "values" },
    { what: "too long a name", keys: `"values":{"${"a".repeat(65)}":1}`, problem: "values" },
    { what: "a prototype", keys: '"values":{"__proto__":{"a":1}}', problem: "values" },
    { what: "a prototype that is a number", keys: '"values":{"__proto__":1}', problem: "values" },
    { what: "no number", keys: '"values":{"days":null}', problem: "values" },
    { what: "a text", keys: '"values":{"days":"12"}', problem: "values" },
    { what: "infinity", keys: '"values":{"days":1e400}', problem: "values" },
    { what: "too large a number", keys: '"values":{"days":1.1e15}', problem: "values" },
    { what: "a list", keys: '"values":[1]', problem: "values" },
    { what: "null", keys: '"values":null', problem: "values" },
    { what: "seventeen", keys: `"values":${JSON.stringify({ ...sixteen, v16: 1 })}`, problem: "values" },
    { what: "a severity of its own", keys: '"severity":"info"', problem: "severity" },
    { what: "a cause without a kind", keys: '"because":"db"', problem: "because" },
    { what: "a cause of another kind", keys: '"because":"site:tsd"', problem: "because" },
    { what: "a cause without a name", keys: '"because":"service:"', problem: "because" },
    { what: "half a character", keys: '"because":"service:\\ud800"', problem: "because" },
    { what: "too long a cause", keys: `"because":"service:${"x".repeat(257)}"`, problem: "because" },
  ])("the message is refused for $what", ({ keys, problem }) => {
    expect(received(keys)).toMatch(
      new RegExp(`^not a heartbeat: v2\\.components\\.0\\.${problem.split(".").at(-1)}: [ -~]+$`),
    );
  });

  test("fail is what a severity is without one", () => {
    expect(received('"severity":"fail"')).toStrictEqual(decoded(encoded([certificate])));
  });

  test("as many values as fit into a body are refused within a moment", () => {
    const many = Array.from({ length: 80_000 }, (_, index) => `"v${index}":1`).join(",");
    const startedMs = performance.now();
    expect(received(`"values":{${many}}`)).toContain("values");
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });

  test("of two reports of one component the worse one counts, and it fails unless both only warn", () => {
    const down = { ...certificate, state: "down", severity: "warn" } as const;
    for (const both of [
      [certificate, down],
      [down, certificate],
    ]) {
      expect(decoded(encoded(both))).toMatchObject([{ state: "down", severity: undefined }]);
    }
    expect(decoded(encoded([down, down]))).toMatchObject([{ state: "down", severity: "warn" }]);
  });
});
