import { describe, expect, test } from "vitest";
import { applyHeartbeat } from "../src/apply.ts";
import { applySilence } from "../src/passing-time.ts";
import { siteEvents } from "../src/events.ts";
import type { SiteRecord } from "../src/site-record.ts";
import { component, heartbeat, receipt, rules } from "./heartbeats.ts";

const T = 1_000_000;

function record(parts: Parameters<typeof heartbeat>[0], before?: SiteRecord): SiteRecord {
  const message = heartbeat({ sentAtMs: T, ...parts });
  const applied = applyHeartbeat(before, message, "tsd", receipt(message.sentAtMs), rules).record;
  if (!applied) throw new Error("not applied");
  return applied;
}

describe("events of a site", () => {
  const up = record({ components: [component({ name: "db", sinceMs: T })] });

  test("tell that it is heard for the first time", () => {
    expect(siteEvents(undefined, up)).toEqual([
      { kind: "site", name: "tsd", state: "fresh", sinceMs: T, reason: undefined },
    ]);
    expect(siteEvents(up, record({ sequence: 2 }, up))).toEqual([]);
  });

  test("tell a silence once, and its end", () => {
    const silent = applySilence(up, up.deadlineMs + 400);
    expect(siteEvents(up, silent)).toEqual([
      { kind: "site", name: "tsd", state: "silent", sinceMs: up.deadlineMs, reason: "publisher_silent" },
    ]);
    expect(siteEvents(silent, applySilence(silent, up.deadlineMs + 60_400))).toEqual([]);
    const heard = record({ sequence: 2, sentAtMs: T + 600_000, uptimeMs: 601_000 }, silent);
    expect(siteEvents(silent, heard)).toMatchObject([{ kind: "site", state: "fresh", sinceMs: T + 600_000 }]);
  });

  test("tell that a silence was announced", () => {
    const stopped = record({ cause: "goodbye" });
    expect(siteEvents(stopped, applySilence(stopped, T + 200_000))).toMatchObject([{ reason: "goodbye" }]);
  });
});
