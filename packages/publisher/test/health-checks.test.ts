import { describe, expect, test } from "vitest";
import { broker } from "../src/probes/broker.ts";
import { judgeCertificates, judgeHealth } from "../src/probes/health-checks.ts";
import { ManagementError, type ManagementQuestions } from "../src/probes/management.ts";
import { scriptedManagement, surroundings } from "./broker-look.ts";
import { inBrief } from "./in-words.ts";

const OK = { status: 200, body: { status: "ok" } };
const ALARMS = "health/checks/alarms";
const QUORUM = "health/checks/node-is-quorum-critical";
const CERTIFICATES = "health/checks/certificate-expiration/14/days";
const NODES = "nodes";
const WELL = { [ALARMS]: OK, [QUORUM]: OK, [CERTIFICATES]: OK };
const LIMITS = { mem_limit: 8, disk_free_limit: 5 };
const NODE = { name: "n", mem_used: 9, mem_alarm: true, disk_free: 3, disk_free_alarm: true, ...LIMITS };
const BEFORE = { name: "n", mem_used: 7, mem_alarm: false, disk_free: 6, disk_free_alarm: false, ...LIMITS };

type Answers = Readonly<Record<string, { status: number; body: unknown } | ManagementError | undefined>>;

function alarms(...resources: string[]) {
  return {
    status: 503,
    body: {
      status: "failed",
      reason: "alarms",
      alarms: resources.map((resource) => ({ node: "n", resource })),
    },
  };
}

/** Reads an answer as the real one does, of which the other tests make sure. */
function answering(answers: Answers, seesNodes: boolean | ManagementError) {
  const asked: string[] = [];
  const get: ManagementQuestions["get"] = async (path, schema, _signal, others) => {
    const [question = ""] = path.split("?");
    asked.push(question);
    const answer = answers[question];
    if (answer instanceof ManagementError) throw answer;
    if (!answer) return undefined;
    const parsed = (answer.status === 200 ? schema : others?.[answer.status])?.safeParse(answer.body);
    if (parsed?.success) return parsed.data;
    throw new ManagementError("management_failed", `answered ${answer.status}`);
  };
  const seesAllConsumers = async () => {
    if (typeof seesNodes === "object") throw seesNodes;
    return seesNodes;
  };
  return { asked, management: scriptedManagement({ get, seesAllConsumers }) };
}

async function look(answers: Answers, options: object = {}, seesNodes: boolean | ManagementError = true) {
  const { asked, management } = answering(answers, seesNodes);
  const start = broker.start(broker.options.parse(options), surroundings(management));
  return { asked, seen: await start(new AbortController().signal) };
}

describe("the broker", () => {
  test("is up when every check is answered by 200, with the values of the node that is worst off", async () => {
    const other = { name: "m", mem_used: 2, disk_free: 4, mem_limit: 8, disk_free_limit: "unknown" };
    const { seen } = await look({ ...WELL, [NODES]: { status: 200, body: [NODE, other] } });
    expect(seen).toMatchObject({ state: "up", values: { memory_used_bytes: 9, disk_free_bytes: 3 } });
    expect(seen.reason).toBeUndefined();
  });

  test.each([
    {
      what: "disk and memory",
      answer: alarms("disk space", "memory"),
      says: "down memory_alarm",
      detail:
        "alarm of memory on n (9 bytes used of 8); alarm of disk space on n (3 bytes free, at least 5 needed)",
    },
    { what: "disk", answer: alarms("disk space"), says: "down disk_alarm" },
    {
      what: "another",
      answer: alarms("file descriptors"),
      says: "down alarm",
      detail: "alarm of file descriptors on n",
    },
    {
      what: "one that is not named",
      answer: { status: 503, body: { status: "failed", reason: "There are alarms" } },
      says: "down alarm",
      detail: "There are alarms",
    },
    {
      what: "503 of a proxy",
      answer: { status: 503, body: "no backend" },
      says: "unknown management_failed",
    },
    {
      what: "503 that says ok",
      answer: { status: 503, body: { status: "ok" } },
      says: "unknown management_failed",
    },
    {
      what: "200 that says failed",
      answer: { ...alarms("memory"), status: 200 },
      says: "unknown management_failed",
    },
    { what: "200 that says nothing", answer: { status: 200, body: {} }, says: "unknown management_failed" },
    { what: "no such check", answer: undefined, says: "unknown management_failed" },
  ])("alarm, $what: $says", async ({ answer, says, detail }) => {
    const { seen } = await look({ ...WELL, [ALARMS]: answer, [NODES]: { status: 200, body: [NODE] } });
    expect(inBrief(seen)).toBe(says);
    if (detail !== undefined) expect(seen.detail).toBe(detail);
  });

  test("statistics from before an alarm are not told with it", async () => {
    const nodes = { status: 200, body: [BEFORE] };
    const { seen } = await look({ ...WELL, [ALARMS]: alarms("memory", "disk space"), [NODES]: nodes });
    expect(seen.detail).toBe("alarm of memory on n; alarm of disk space on n");
  });

  test("tells the worst first and everything, and a check that fails beside another hides nothing", async () => {
    const queues = ["a", "b", "c", "d"].map((name) => ({ name, virtual_host: "v", type: "quorum" }));
    const { seen } = await look({
      [ALARMS]: undefined,
      [QUORUM]: { status: 503, body: { status: "failed", reason: "would lose", queues } },
      [CERTIFICATES]: { status: 503, body: { status: "failed", expired: [] } },
    });
    expect(inBrief(seen)).toBe("down quorum_critical");
    expect(seen.detail).toBe(
      "the node's loss would cost quorum queues their quorum: a in v, b in v, c in v and 1 more; " +
        "the broker's certificates end: soon; this version of RabbitMQ has no health/checks/alarms",
    );
  });

  test("without the monitoring tag the checks are answered, and the nodes are not asked for", async () => {
    const { seen, asked } = await look({ ...WELL, [ALARMS]: alarms("memory") }, {}, false);
    expect(seen).toMatchObject({ reason: "memory_alarm", detail: "alarm of memory on n", values: {} });
    expect(asked).not.toContain(NODES);
  });

  test("of a user who is refused, whether it is only there or everywhere is told", async () => {
    const refused = new ManagementError("management_refused", "401");
    const answers = { ...WELL, [QUORUM]: refused };
    expect(inBrief((await look(answers, {}, false)).seen)).toBe("unknown monitoring_tag_missing");
    expect(inBrief((await look(answers, {}, true)).seen)).toBe("unknown management_refused");
    expect(inBrief((await look(answers, {}, refused)).seen)).toBe("unknown management_refused");
  });

  test("nodes that cannot be asked for take nothing away", async () => {
    const { seen } = await look({ ...WELL, [NODES]: new ManagementError("timeout", "too late") });
    expect(seen).toMatchObject({ state: "up", values: {} });
  });

  test("only what is switched on is asked", async () => {
    const only = async (options: object) => (await look(WELL, options, false)).asked;
    expect(await only({})).toEqual([ALARMS, QUORUM, CERTIFICATES]);
    expect(await only({ alarms: false, quorum: false })).toEqual([CERTIFICATES]);
    expect(await only({ certificateDays: 0 })).toEqual([ALARMS, QUORUM]);
    const nothing = { alarms: false, quorum: false, certificateDays: 0 };
    expect(broker.options.safeParse(nothing).success).toBe(false);
    expect(inBrief(judgeHealth([]))).toBe("unknown probe_failed");
  });
});

test.each([
  { ends: ["2026-11-29 1:09:39"], says: "down certificate_expires_soon" },
  { ends: ["2026-11-24 0:59:59"], says: "down certificate_expired" },
  { ends: ["2026-11-24 10:00:00", "2026-11-23 10:00:00"], says: "down certificate_expired" },
  { ends: ["some day"], says: "down certificate_expires_soon" },
  { ends: [], says: "down certificate_expires_soon" },
])("certificates that end at $ends: $says", ({ ends, says }) => {
  const nowMs = Date.UTC(2026, 10, 24, 1);
  const listener = { port: 5671, certfile_expires_on: [], cacertfile_expires_on: ends };
  expect(inBrief(judgeCertificates({ status: "failed", expired: [listener] }, nowMs))).toBe(says);
});
