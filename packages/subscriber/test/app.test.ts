import { describe, expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import type { AppOptions } from "../src/http/app.ts";
import { verdict } from "../src/verdict.ts";
import { builtApp } from "./built-app.ts";
import { component, connected, heartbeat, receipt, rules } from "./heartbeats.ts";

const T = Date.UTC(2026, 10, 22, 10, 35, 6);

function app(options: Partial<AppOptions> = {}) {
  const components = [
    component({ name: "db", observedAtMs: T, sinceMs: T - 5_000, probe: "tcp", latencyMs: 1.2 }),
    component({
      name: "ingest",
      state: "unknown",
      reason: "parent_down",
      because: "queue:inbox",
      sinceMs: T,
      observedAtMs: T,
    }),
    component({
      name: "certificate",
      state: "down",
      severity: "warn",
      values: { certificate_days_left: 12.4 },
      sinceMs: T,
      observedAtMs: T,
    }),
    component({
      kind: "queue",
      name: "inbox",
      state: "down",
      reason: "consumer_missing",
      sinceMs: T,
      observedAtMs: T,
    }),
  ];
  const { record } = applyHeartbeat(
    undefined,
    heartbeat({ components, sentAtMs: T }),
    "tsd",
    receipt(T),
    rules,
  );
  return builtApp({
    currentVerdict: async () =>
      verdict(
        { records: record ? [record] : [], lost: [] },
        T,
        { expectedSites: [], unknownAs: "fail" },
        connected,
      ),
    now: () => T,
    ...options,
  });
}

describe("/health", () => {
  test("tells each component's kind, name, state, times and the site's freshness", async () => {
    const response = await app().inject("/health");
    expect(response.statusCode).toBe(503);
    expect(response.headers["cache-control"]).toBe("no-store");
    expect(response.json()).toEqual({
      status: "fail",
      checkedAt: "2026-11-22T10:35:06.000Z",
      problems: [
        "queue inbox (site tsd) is down since 2026-11-22T10:35:06.000Z: consumer_missing (1 component depends on it)",
      ],
      warnings: ["service certificate (site tsd) is down since 2026-11-22T10:35:06.000Z"],
      sites: [
        {
          site: "tsd",
          state: "fresh",
          freshAt: "2026-11-22T10:35:06.000Z",
          deadline: "2026-11-22T10:37:36.000Z",
          intervalSeconds: 60,
          components: [
            {
              kind: "service",
              name: "db",
              state: "up",
              lastState: "up",
              since: "2026-11-22T10:35:01.000Z",
              observedAt: "2026-11-22T10:35:06.000Z",
              probe: "tcp",
              latencyMs: 1.2,
            },
            {
              kind: "service",
              name: "ingest",
              state: "unknown",
              lastState: "unknown",
              since: "2026-11-22T10:35:06.000Z",
              observedAt: "2026-11-22T10:35:06.000Z",
              reason: "parent_down",
              because: "queue:inbox",
            },
            {
              kind: "service",
              name: "certificate",
              state: "down",
              lastState: "down",
              since: "2026-11-22T10:35:06.000Z",
              observedAt: "2026-11-22T10:35:06.000Z",
              severity: "warn",
              values: { certificate_days_left: 12.4 },
            },
            {
              kind: "queue",
              name: "inbox",
              state: "down",
              lastState: "down",
              since: "2026-11-22T10:35:06.000Z",
              observedAt: "2026-11-22T10:35:06.000Z",
              reason: "consumer_missing",
            },
          ],
        },
      ],
    });
  });

  test("is 503 when the state cannot be read, without the reason's inner words", async () => {
    const currentVerdict = async () => await Promise.reject(new Error("redis at 10.0.0.7 says no"));
    const response = await app({ currentVerdict }).inject("/health");
    expect(response.statusCode).toBe(503);
    expect(response.json()).toMatchObject({
      status: "fail",
      problems: ["the state cannot be read from Redis: /readyz says why"],
    });
    expect(response.body).not.toContain("10.0.0.7");
  });
});

describe("/heartbeat", () => {
  test("answers as the old reader does", async () => {
    const response = await app().inject("/heartbeat");
    expect(response.statusCode).toBe(503);
    const seen = "2026-11-22T10:35:06";
    expect(response.json()).toEqual({
      status: "MISSING_SERVICES_AND_QUEUES",
      description: "Missing one or more services and queues",
      queues: [{ name: "inbox", status: "not_ok", last_seen_ok: null, last_seen_failed: seen }],
      services: [
        { name: "db", status: "ok", last_seen_ok: seen, last_seen_failed: null },
        { name: "ingest", status: "not_ok", last_seen_ok: null, last_seen_failed: seen },
        { name: "certificate", status: "not_ok", last_seen_ok: null, last_seen_failed: seen },
      ],
    });
  });

  test("is not ok while the state cannot be read", async () => {
    const currentVerdict = () => Promise.reject(new Error("redis is away"));
    const response = await app({ currentVerdict }).inject("/heartbeat");
    expect(response.statusCode).toBe(503);
    expect(response.json()).toMatchObject({
      status: "MISSING_SERVICES",
      services: [{ name: "heartbeat", status: "not_ok" }],
    });
  });
});

test("/livez and /readyz do not depend on the pipeline's health", async () => {
  const failing = app();
  expect((await failing.inject("/health")).statusCode).toBe(503);
  expect((await failing.inject("/livez")).statusCode).toBe(200);
  expect((await failing.inject("/readyz")).statusCode).toBe(200);
});

test("/readyz says what is missing; /livez does not care", async () => {
  const unready = app({ unreadyReasons: async () => ["the broker is not connected"] });
  const response = await unready.inject("/readyz");
  expect(response.statusCode).toBe(503);
  expect(response.json()).toEqual({ status: "fail", reasons: ["the broker is not connected"] });
  expect((await unready.inject("/livez")).statusCode).toBe(200);
});
