import { describe, expect, test } from "vitest";
import { applyHeartbeat, applySilence } from "../src/apply.ts";
import { eventsBetween } from "../src/events.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { component, heartbeat, receipt, rules } from "./heartbeats.ts";

const T = 1_000_000;

function record(parts: Parameters<typeof heartbeat>[0], before?: SiteRecord): SiteRecord {
  const message = heartbeat({ sentAtMs: T, ...parts });
  const applied = applyHeartbeat(before, message, "tsd", receipt(message.sentAtMs), rules).record;
  if (!applied) throw new Error("not applied");
  return applied;
}

describe("events", () => {
  const up = record({ components: [component({ name: "db", sinceMs: T })] });

  test("tell what is heard for the first time", () => {
    expect(eventsBetween(undefined, up)).toEqual([
      { kind: "service", name: "db", state: "up", sinceMs: T, reason: undefined },
      { kind: "site", name: "tsd", state: "fresh", sinceMs: T, reason: undefined },
    ]);
  });

  test("tell each change of state, and what is gone", () => {
    const down = component({ name: "mq", state: "down", sinceMs: T + 5, reason: "timeout" });
    expect(eventsBetween(up, record({ sequence: 2, components: [down] }, up))).toEqual([
      { kind: "service", name: "mq", state: "down", sinceMs: T + 5, reason: "timeout" },
      { kind: "service", name: "db", state: "removed", sinceMs: T, reason: undefined },
    ]);
  });

  test("tell nothing where nothing changed", () => {
    expect(eventsBetween(up, record({ sequence: 2, components: [component({ name: "db" })] }, up))).toEqual(
      [],
    );
  });

  test("tell a silence once, and its end", () => {
    const silent = applySilence(up, up.deadlineMs + 400);
    expect(eventsBetween(up, silent)).toEqual([
      { kind: "site", name: "tsd", state: "silent", sinceMs: up.deadlineMs, reason: "publisher_silent" },
    ]);
    expect(eventsBetween(silent, applySilence(silent, up.deadlineMs + 60_400))).toEqual([]);
    const heard = record({ sequence: 2, sentAtMs: T + 600_000, uptimeMs: 601_000 }, silent);
    expect(eventsBetween(silent, heard)).toMatchObject([
      { kind: "site", state: "fresh", sinceMs: T + 600_000 },
    ]);
  });

  test("tell that a silence was announced", () => {
    const stopped = record({ cause: "goodbye" });
    expect(eventsBetween(stopped, applySilence(stopped, T + 200_000))).toMatchObject([{ reason: "goodbye" }]);
  });
});
