import { randomUUID } from "node:crypto";
import { connect } from "amqplib";
import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { encodeHeartbeat, type Heartbeat, type State } from "../packages/shared/src/heartbeat.ts";
import { askHealth } from "../demo/health.ts";
import { expectHealth, expectReady, freshEnvironment, startBundle } from "./processes.ts";

const MINUTE_MS = 60_000;
const KEPT = 1_440;

/** A publisher that was cut off for a day; the database failed meanwhile, and came back two minutes later. */
function dayBehindTheWall() {
  const bootId = randomUUID();
  const startedAtMs = Date.now() - (KEPT + 2) * MINUTE_MS;
  const failedMs = startedAtMs + 100 * MINUTE_MS + 1;
  const backMs = failedMs + 2 * MINUTE_MS;
  const stateAt = (atMs: number): { state: State; sinceMs: number } => {
    if (atMs < failedMs) return { state: "up", sinceMs: startedAtMs };
    return atMs < backMs ? { state: "down", sinceMs: failedMs } : { state: "up", sinceMs: backMs };
  };
  const beat = (sequence: number, cause: Heartbeat["cause"]): Buffer => {
    const uptimeMs = sequence * MINUTE_MS;
    const sentAtMs = startedAtMs + uptimeMs;
    const component = { kind: "service", name: "db", observedAtMs: sentAtMs, ...stateAt(sentAtMs) } as const;
    const heartbeat: Heartbeat = {
      site: "tsd",
      bootId,
      sequence,
      startedAtMs,
      sentAtMs,
      uptimeMs,
      intervalMs: 5 * MINUTE_MS,
      cause,
      hosts: [],
      queues: [],
      services: [],
      components: [component],
    };
    return encodeHeartbeat(heartbeat, 2);
  };
  const at = (ms: number) => new Date(ms).toISOString();
  return { beat, backMs, events: [`up ${at(startedAtMs)}`, `down ${at(failedMs)}`, `up ${at(backMs)}`] };
}

test("what happened while the wall was closed is told with its times, once, and /health never turns", async () => {
  const { subscriber, url, amqpUrl, redisDb } = await freshEnvironment();
  const redis = new Redis({ ...inject("redis"), db: redisDb });
  onTestFinished(() => redis.disconnect());
  startBundle("subscriber", subscriber);
  await expectReady(url);
  const connection = await connect(amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createConfirmChannel();
  const send = (body: Buffer) => channel.publish("my_topic_exchange", "service.heartbeat", body);

  const { beat, events, backMs } = dayBehindTheWall();
  send(beat(KEPT + 1, "interval"));
  await expectHealth(url, 5_000, ({ code }) => expect(code).toBe(200));
  const kept = Array.from({ length: KEPT }, (_, index) => beat(index + 1, "backfill"));
  const answers = new Set<string>();
  for (const body of [...kept, ...kept.toReversed(), beat(KEPT + 2, "interval")]) send(body);
  await vi.waitFor(
    async () => {
      const health = await askHealth(`${url}/health`);
      const components = health?.sites[0]?.components.map(({ state, since }) => ({ state, since }));
      answers.add(JSON.stringify({ code: health?.code, problems: health?.problems, components }));
      const record = await redis.hget("heartbeat:{tsd}:site", "record");
      expect(record).toContain(`"sequence":${KEPT + 2},`);
    },
    { timeout: 20_000, interval: 10 },
  );
  const components = [{ state: "up", since: new Date(backMs).toISOString() }];
  expect([...answers]).toEqual([JSON.stringify({ code: 200, problems: [], components })]);
  const entries = await redis.xrange("heartbeat:{tsd}:events", "-", "+");
  const told = entries
    .filter(([, fields]) => fields.includes("db"))
    .map(([, fields]) => `${fields[5]} ${fields[7]}`);
  expect(told.toSorted((a, b) => (a.slice(-24) < b.slice(-24) ? -1 : 1))).toEqual(events);
  expect(await redis.llen("heartbeat:rejected")).toBe(0);
});
