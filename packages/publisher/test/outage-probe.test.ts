import { outageLog } from "@pipeline-heartbeat/shared/outage.ts";
import { pino } from "pino";
import { expect, test } from "vitest";
import type { Observation } from "../src/probe.ts";
import { withOutageLog } from "../src/probes/outage-probe.ts";

/** Looks again and again, with these results, and returns what is logged: message and cause. */
async function logOf(looks: Observation[][], stopping = new AbortController().signal): Promise<string[]> {
  const lines: string[] = [];
  const write = (line: string) => {
    const { msg, cause }: Record<string, string | undefined> = JSON.parse(line);
    lines.push(cause === undefined ? `${msg}` : `${msg}: ${cause}`);
  };
  const results = [...looks];
  const probe = withOutageLog(
    { targets: [], confirmAfterMs: undefined, look: async () => results.shift() ?? [] },
    outageLog("management API", pino({ level: "info" }, { write })),
    stopping,
  );
  for (const look of looks) expect(await probe.look(AbortSignal.timeout(1_000))).toBe(look);
  return lines;
}

const up: Observation = { state: "up" };
const missing: Observation = { state: "down", reason: "consumer_missing" };
const refused: Observation = { state: "unknown", reason: "management_refused", detail: "it answered 401" };
const untrusted: Observation = {
  state: "unknown",
  reason: "tls_failed",
  detail: "the certificate of mq expired",
};

test("an outage of the management API is told once with its cause, and when it is over", async () => {
  expect(
    await logOf([
      [up, up],
      [refused, refused],
      [refused, refused],
      [up, missing],
      [up, up],
    ]),
  ).toEqual(["management API unavailable: it answered 401", "management API available again"]);
});

test("another cause in the same outage is told as well, and one queue alone is an outage", async () => {
  expect(
    await logOf([
      [up, refused],
      [untrusted, untrusted],
      [up, untrusted],
    ]),
  ).toEqual([
    "management API unavailable: it answered 401",
    "management API still unavailable: the certificate of mq expired",
  ]);
});

test("what the management API tells of components is no outage, and neither is our own stop", async () => {
  expect(await logOf([[missing, up], [{ state: "unknown", reason: "consumer_inactive" }]])).toEqual([]);
  expect(await logOf([[{ state: "unknown", reason: "timeout" }]], AbortSignal.abort())).toEqual([]);
});
