import { describe, expect, test } from "vitest";
import type { Surroundings } from "../src/probe-kind.ts";
import { consumers } from "../src/probes/attached.ts";
import { ManagementError } from "../src/probes/management.ts";
import type { QueueConsumer } from "../src/probes/management-answers.ts";
import { scriptedManagement, surroundings } from "./broker-look.ts";
import { inBrief } from "./in-words.ts";
import { attached } from "./queues.ts";

const two = { queue: "ingest", tags: ["^ctag-ingest-", "verify$"] };

function start(
  options: object,
  consumersOf: () => Promise<QueueConsumer[] | undefined>,
  parts: Partial<Surroundings> = {},
) {
  const around = { ...surroundings(scriptedManagement({ consumersOf })), ...parts };
  const look = consumers.start(consumers.options.parse(options), around);
  return () => look(new AbortController().signal);
}

test.each([
  { what: "one of each", list: [attached("ctag-ingest-1"), attached("verify")], says: "up", least: 1 },
  {
    what: "a stand-by, too",
    list: [attached("ctag-ingest-1", "waiting"), attached("verify", "single_active")],
    says: "up",
    least: 1,
  },
  { what: "one tag has none", list: [attached("ctag-ingest-1")], says: "down consumer_missing", least: 0 },
  { what: "others only", list: [attached("other")], says: "down consumer_missing", least: 0 },
  {
    what: "one tag has an inactive one only",
    list: [attached("ctag-ingest-1"), attached("verify", "suspected_down")],
    says: "unknown consumer_inactive",
    least: 0,
  },
  {
    what: "one inactive, the other missing",
    list: [attached("ctag-ingest-1", "suspected_down")],
    says: "down consumer_missing",
    least: 0,
  },
  { what: "no consumer", list: [], says: "down consumer_missing", least: 0 },
])("$what: $says", async ({ list, says, least }) => {
  const seen = await start(two, async () => list)();
  expect(inBrief(seen)).toBe(says);
  expect(seen.values).toEqual({ consumers: least });
});

test.each([
  { list: [attached("verify"), attached("verify")], says: "up", least: 2 },
  { list: [attached("verify")], says: "down consumer_missing", least: 1 },
  { list: [attached("verify"), attached("verify", "odd")], says: "unknown consumer_inactive", least: 1 },
])("two of a tag are expected, $least attached: $says", async ({ list, says, least }) => {
  const seen = await start({ queue: "ingest", tags: ["verify"], min: 2 }, async () => list)();
  expect(inBrief(seen)).toBe(says);
  expect(seen.values).toEqual({ consumers: least });
  if (least < 2) expect(seen.detail).toBe("verify: consumers attached: 1, expected: 2");
});

test("a queue that is gone is down, and an API that cannot be asked leaves all unknown", async () => {
  expect(inBrief(await start(two, async () => undefined)())).toBe("down queue_missing");
  const refused = new ManagementError("management_refused", "401");
  const seen = await start(two, () => Promise.reject(refused))();
  expect(seen).toMatchObject({ state: "unknown", reason: "management_refused", detail: "401" });
});

describe("a list without any consumer", () => {
  test.each([
    {
      what: "while there is no connection",
      connectedAtMs: undefined,
      says: "unknown list_empty_after_connect",
    },
    { what: "right after the connect", connectedAtMs: 50_001, says: "unknown list_empty_after_connect" },
    { what: "later", connectedAtMs: 50_000, says: "down consumer_missing" },
  ])("$what: $says", async ({ connectedAtMs, says }) => {
    const look = start(two, async () => [], { brokerConnectedAtMs: () => connectedAtMs });
    expect(inBrief(await look())).toBe(says);
  });

  test("is true right after a connect when it has not been empty since", async () => {
    let list = [attached("other")];
    const look = start(two, async () => list, { brokerConnectedAtMs: () => 59_000 });
    expect(inBrief(await look())).toBe("down consumer_missing");
    list = [];
    expect(inBrief(await look())).toBe("down consumer_missing");
  });
});

test.each([
  { tags: ["(unclosed"] },
  { tags: [] },
  { tags: ["a"], min: 0 },
  { tags: ["a"], min: 1.5 },
  { tags: Array(101).fill("a") },
])("%j cannot be asked for", (wrong) => {
  expect(consumers.options.safeParse({ queue: "ingest", ...wrong }).success).toBe(false);
});
