import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeHeartbeat, MAX_BODY_BYTES, type ReceivedHeartbeat } from "../src/decode.ts";
import { encodeHeartbeat, type Heartbeat } from "../src/heartbeat.ts";
import { parseUpstreamTimestamp } from "../src/timestamp.ts";

const RECEIVED_MS = Date.UTC(2026, 10, 22, 12);
const SENT_MS = Date.UTC(2026, 10, 22, 10, 35, 6, 123);

const captured = readFileSync(new URL("./vectors/upstream-messages.jsonl", import.meta.url), "utf8")
  .trimEnd()
  .split("\n");

const heartbeat: Heartbeat = {
  site: "tsd-p969",
  bootId: "7b0c",
  sequence: 42,
  startedAtMs: SENT_MS - 3_600_000,
  sentAtMs: SENT_MS,
  uptimeMs: 3_600_000,
  intervalMs: 60_000,
  cause: "change",
  hosts: [{ name: "sda-db", state: "up", observedAtMs: SENT_MS - 100 }],
  queues: [{ name: "inbox", state: "unknown", observedAtMs: SENT_MS - 100 }],
  services: [
    { name: "mq-interceptor", state: "up", observedAtMs: SENT_MS - 100 },
    { name: "mq-interceptor", state: "down", observedAtMs: SENT_MS - 200 },
  ],
  components: [
    {
      kind: "service",
      name: "sda-db",
      probe: "tcp",
      state: "up",
      sinceMs: SENT_MS - 5_000,
      observedAtMs: SENT_MS - 100,
      latencyMs: 1.2,
    },
    {
      kind: "queue",
      name: "inbox",
      probe: "consumers",
      state: "unknown",
      reason: "timeout",
      sinceMs: SENT_MS - 9_000,
      observedAtMs: SENT_MS - 100,
    },
    {
      kind: "service",
      name: "mq-interceptor",
      probe: "consumers",
      state: "down",
      reason: "consumer_missing",
      sinceMs: SENT_MS - 9_000,
      observedAtMs: SENT_MS - 200,
    },
  ],
};

function decode(body: string | object | Buffer): ReceivedHeartbeat {
  const bytes = Buffer.isBuffer(body)
    ? body
    : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  const decoded = decodeHeartbeat(bytes, RECEIVED_MS);
  if (!decoded.ok) throw new Error(decoded.problem);
  return decoded.heartbeat;
}

function problemOf(body: string | Buffer): string {
  const decoded = decodeHeartbeat(Buffer.from(body), RECEIVED_MS);
  return decoded.ok ? "none" : decoded.problem;
}

describe("format 1", () => {
  test.each(captured)("takes in what upstream sent: %s", (line) => {
    const message: { timestamp: string } = JSON.parse(line);
    const decoded = decode(line);
    const entries = line.match(/"name"/g) ?? [];
    expect(decoded.bootId).toBe(message.timestamp);
    expect(decoded.components.length).toBeLessThanOrEqual(entries.length);
    for (const { kind, name, state } of decoded.components) {
      const section =
        kind === "queue" ? /"queues_status": \[(.*?)\]/ : /"hosts": \[(.*?)\].*"services_status": \[(.*?)\]/;
      const listed = section.exec(line)?.slice(1).join() ?? "";
      const isBad = listed.includes(`"name": "${name}", "status": "not_ok"`);
      expect(state, name).toBe(isBad ? "down" : "up");
    }
  });

  test("takes the newest entry as the sequence, not the top-level timestamp, which never moves", () => {
    const decoded = decode(captured[1] ?? "");
    expect(decoded.sequence).toBe(parseUpstreamTimestamp("2026-11-22 11:22:16 UTC"));
    expect(decoded.bootId).toBe("2026-11-22 11:22:13 UTC");
  });

  test("is exactly upstream's message: keys, order of sections, entries of three keys", () => {
    const sent: unknown = JSON.parse(encodeHeartbeat(heartbeat, 1).toString());
    expect(sent).toStrictEqual({
      status: "heartbeat",
      service: "publisher",
      timestamp: "2026-11-22 09:35:06 UTC",
      hosts: [{ name: "sda-db", status: "ok", timestamp: "2026-11-22 10:35:06 UTC" }],
      rmq_consumers: {
        queues_status: [{ name: "inbox", status: "not_ok", timestamp: "2026-11-22 10:35:06 UTC" }],
        services_status: [
          { name: "mq-interceptor", status: "ok", timestamp: "2026-11-22 10:35:06 UTC" },
          { name: "mq-interceptor", status: "not_ok", timestamp: "2026-11-22 10:35:05 UTC" },
        ],
      },
    });
  });

  test("of several entries for one service the worst counts, wherever it stands", () => {
    const entry = (name: string, status: string) => ({ name, status, timestamp: "2026-11-22 10:35:06 UTC" });
    const message = (services: object[]) => ({
      status: "heartbeat",
      timestamp: "2026-11-22 10:00:00 UTC",
      hosts: [entry("mq", "ok")],
      rmq_consumers: { queues_status: [entry("mq", "ok")], services_status: services },
    });
    for (const services of [
      [entry("mq", "not_ok"), entry("mq", "ok")],
      [entry("mq", "ok"), entry("mq", "not_ok")],
    ]) {
      const { components } = decode(message(services));
      expect(components.map(({ kind, state }) => `${kind} ${state}`)).toEqual(["service down", "queue up"]);
    }
  });

  test("an entry without an exact timestamp has the time of receipt", () => {
    const { components, sequence } = decode({
      status: "heartbeat",
      timestamp: "x",
      hosts: [{ name: "a", status: "ok", timestamp: "yesterday" }],
      rmq_consumers: {},
    });
    expect(components[0]?.observedAtMs).toBe(RECEIVED_MS);
    expect(sequence).toBe(RECEIVED_MS);
  });
});

test("its entries come in the order in which upstream goes through them, with what stands there as time", () => {
  const entry = { name: "a:b", status: "ok" };
  const { upstreamEntries } = decode({
    status: "heartbeat",
    timestamp: "x",
    hosts: [{ ...entry, timestamp: "yesterday" }],
    rmq_consumers: {
      queues_status: [{ ...entry, timestamp: "2026-11-22 10:35:06 UTC" }],
      services_status: [{ ...entry, status: "not_ok" }, entry],
    },
  });
  const received = "2026-11-22 12:00:00 UTC";
  expect(upstreamEntries).toEqual([
    { kind: "service", name: "a:b", status: "ok", value: "yesterday" },
    { kind: "service", name: "a:b", status: "not_ok", value: received },
    { kind: "service", name: "a:b", status: "ok", value: received },
    { kind: "queue", name: "a:b", status: "ok", value: "2026-11-22 10:35:06 UTC" },
  ]);
});

describe("format 2", () => {
  test("adds one key to format 1", () => {
    const first: object = JSON.parse(encodeHeartbeat(heartbeat, 1).toString());
    const second: Record<string, unknown> = JSON.parse(encodeHeartbeat(heartbeat, 2).toString());
    const { v2, ...rest } = second;
    expect(rest).toStrictEqual(first);
    expect(v2).toMatchObject({
      site: "tsd-p969",
      bootId: "7b0c",
      sequence: 42,
      sentAt: "2026-11-22T10:35:06.123Z",
      uptimeMs: 3_600_000,
      intervalSeconds: 60,
      cause: "change",
    });
  });

  test("comes back as it was sent", () => {
    const { hosts: _h, queues: _q, services: _s, startedAtMs: _t, ...sent } = heartbeat;
    const { upstreamEntries: _e, ...came } = decode(encodeHeartbeat(heartbeat, 2));
    expect(came).toEqual({ ...sent, format: 2 });
  });

  test("keys that a later version may add are passed over", () => {
    const message: { v2: { components: object[] } } = JSON.parse(encodeHeartbeat(heartbeat, 2).toString());
    const extended = {
      ...message,
      new: 1,
      v2: {
        ...message.v2,
        new: 1,
        components: message.v2.components.map((component) => ({ ...component, new: 1 })),
      },
    };
    expect(decode(extended)).toEqual(decode(message));
  });
});

describe("what is no heartbeat", () => {
  const format2 = encodeHeartbeat(heartbeat, 2).toString();
  test.each([
    { what: "nothing", body: "", problem: "not JSON" },
    { what: "text", body: "garbage", problem: "not JSON" },
    { what: "invalid UTF-8", body: Buffer.from([0x7b, 0xff, 0x7d]), problem: "not UTF-8" },
    { what: "an empty object", body: "{}", problem: "not a heartbeat: status" },
    { what: "null", body: "null", problem: "not a heartbeat" },
    { what: "a list", body: "[]", problem: "not a heartbeat" },
    {
      what: "no rmq_consumers",
      body: '{"status":"heartbeat","timestamp":"x"}',
      problem: "not a heartbeat: rmq_consumers",
    },
    { what: "an empty name", body: format2.replaceAll('"inbox"', '""'), problem: "queues_status.0.name" },
    { what: "a status of its own", body: format2.replace('"not_ok"', '"maybe"'), problem: "status" },
    { what: "a site with a space", body: format2.replace("tsd-p969", "tsd p969"), problem: "v2.site" },
    { what: "sequence 0", body: format2.replace('"sequence":42', '"sequence":0'), problem: "v2.sequence" },
    {
      what: "a huge sequence",
      body: format2.replace('"sequence":42', '"sequence":1e300'),
      problem: "v2.sequence",
    },
    {
      what: "an interval of nothing",
      body: format2.replace('"intervalSeconds":60', '"intervalSeconds":0'),
      problem: "v2.intervalSeconds",
    },
    {
      what: "a sending time that is none",
      body: format2.replace("10:35:06.123Z", "soon"),
      problem: "v2.sentAt",
    },
    {
      what: "an unknown state",
      body: format2.replace('"state":"down"', '"state":"fine"'),
      problem: "v2.components.2.state",
    },
    ...["site", "bootId", "reason", "probe"].map((key) => ({
      what: `half a character in ${key}`,
      body: format2.replace(new RegExp(`"${key}":"[^"]*"`), `"${key}":"\\ud800"`),
      problem: key === "site" || key === "bootId" ? `v2.${key}` : `.${key}`,
    })),
    {
      what: "too large a body",
      body: " ".repeat(MAX_BODY_BYTES + 1),
      problem: `larger than ${MAX_BODY_BYTES} bytes`,
    },
    { what: "deep nesting", body: "[".repeat(500_000) + "]".repeat(500_000), problem: "not" },
  ])("$what: is told why", ({ body, problem }) => {
    expect(problemOf(Buffer.from(body))).toContain(problem);
  });

  test("names such as __proto__ are names like any other", () => {
    const { components } = decode(format2.replaceAll('"inbox"', '"__proto__"'));
    expect(components.map(({ name }) => name)).toContain("__proto__");
  });
});
