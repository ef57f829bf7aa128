import { expect, test } from "vitest";
import { type FalseAlarm, keepBooks } from "../restless/books.ts";
import {
  type Answer,
  type Disturbance,
  judgeAnswer,
  judgeSaid,
  type Said,
  type Span,
} from "../restless/judge.ts";
import { uncovered } from "../restless/sabotage.ts";

const AT_MS = 100_000;

function said(state: Said["state"], reason?: string, component = "service:db"): Said {
  return { component, state, reason };
}

/** Around AT_MS. */
function span(what: Disturbance, component?: string): Span {
  return { what, fromMs: AT_MS - 1_000, toMs: AT_MS + 1_000, ...(component !== undefined && { component }) };
}

function answer(
  code: number | undefined,
  components: readonly Said[] = [],
  problems = ["all is lost"],
): Answer {
  return { code, problems: code === 200 ? [] : problems, said: components };
}

const ALL: readonly Span[] = [
  span("the broker is restarted"),
  span("the publisher is started"),
  span("a component is added", "service:db"),
  span("the subscriber is restarted"),
  span("Redis is restarted"),
];

test("a component that is up is no alarm, and needs no excuse", () => {
  expect(judgeSaid([said("up"), said("up", "tag_unchecked")], ALL, AT_MS)).toEqual({
    alarms: [],
    excuses: [],
  });
});

test("a component that is down is an alarm, whatever is going on", () => {
  const { alarms, excuses } = judgeSaid([said("down", "timeout")], ALL, AT_MS);
  expect(alarms).toMatchObject([{ about: "service:db", what: "down, timeout" }]);
  expect(excuses).toEqual([]);
});

test.each<[reason: string, span: Span | undefined, excuse: Disturbance | "an alarm"]>([
  ["management_failed", undefined, "an alarm"],
  ["management_failed", span("the broker is restarted"), "the broker is restarted"],
  ["not_looked_lately", span("the publisher is started"), "an alarm"],
  ["not_looked_yet", span("the publisher is started"), "the publisher is started"],
  ["unconfirmed", span("the publisher is started"), "the publisher is started"],
  ["unconfirmed", undefined, "an alarm"],
  ["unconfirmed", span("a component is added", "service:db"), "a component is added"],
  ["unconfirmed", span("a component is added", "service:other"), "an alarm"],
  ["timeout", span("a component is added", "service:db"), "an alarm"],
  ["unconfirmed", span("the subscriber is restarted"), "an alarm"],
  ["unconfirmed", span("Redis is restarted"), "an alarm"],
])("unknown as %s beside %o: %s", (reason, beside, expected) => {
  const { alarms, excuses } = judgeSaid([said("unknown", reason)], beside ? [beside] : [], AT_MS);
  expect(excuses).toEqual(expected === "an alarm" ? [] : [expected]);
  expect(alarms).toHaveLength(expected === "an alarm" ? 1 : 0);
});

test("an excuse holds from its first to its last moment", () => {
  const spans = [{ what: "the broker is restarted", fromMs: 10, toMs: 20 } as const];
  const isAlarm = (atMs: number) => judgeSaid([said("unknown")], spans, atMs).alarms.length > 0;
  expect([9, 10, 20, 21].map(isAlarm)).toEqual([true, false, false, true]);
});

test.each<[code: number | undefined, what: Disturbance | undefined, isAlarm: boolean]>([
  [200, undefined, false],
  [503, undefined, true],
  [undefined, undefined, true],
  [503, "Redis is restarted", false],
  [undefined, "the subscriber is restarted", false],
  [503, "the broker is restarted", true],
  [503, "the publisher is started", true],
  [503, "a component is added", true],
])("/health answers %s while %s: %s", (code, what, isAlarm) => {
  const judged = judgeAnswer(answer(code), what ? [span(what)] : [], AT_MS, AT_MS);
  const alarm = code === undefined ? "no answer" : `${code}, all is lost`;
  expect(judged.alarms).toEqual(isAlarm ? [{ about: "/health", what: alarm }] : []);
});

test("an answer that was waited for is excused by what is over when it comes", () => {
  const spans = [{ what: "Redis is restarted", fromMs: 10, toMs: 20 } as const];
  const isAlarm = ([askedAtMs = 0, atMs = 0]: number[]) =>
    judgeAnswer(answer(503), spans, askedAtMs, atMs).alarms.length > 0;
  expect(
    [
      [5, 9],
      [5, 10],
      [20, 30],
      [21, 30],
    ].map(isAlarm),
  ).toEqual([true, false, false, true]);
});

test("a /health that is red because of a component is told as the component alone", () => {
  const red = answer(503, [said("down", "timeout")]);
  expect(judgeAnswer(red, [], AT_MS, AT_MS).alarms).toMatchObject([{ about: "service:db" }]);
  const excused = answer(503, [said("unknown", "management_failed")]);
  expect(judgeAnswer(excused, [span("the broker is restarted")], AT_MS, AT_MS).alarms).toEqual([]);
});

test("a /health that is red while Redis is away still has to be right about its components", () => {
  const red = answer(503, [said("down", "timeout")]);
  const { alarms, excuses } = judgeAnswer(red, [span("Redis is restarted")], AT_MS, AT_MS);
  expect(alarms).toMatchObject([{ about: "service:db", what: "down, timeout" }]);
  expect(excuses).toEqual(["Redis is restarted"]);
});

test("an alarm that goes on is one, with what was done before it; later it is another one", () => {
  const told: FalseAlarm[] = [];
  const books = keepBooks((alarm) => told.push(alarm));
  books.heard([said("down", "timeout")], 1_000);
  expect(books.heartbeats, "before the books are open").toBe(0);
  books.open();
  books.did("something: db");
  for (const atMs of [1_000, 2_000, 30_000]) books.heard([said("down", "timeout")], atMs);
  books.heard([said("down", "connection_refused")], 30_000);
  books.heard([said("down", "timeout")], 90_000);
  expect(books.alarms).toMatchObject([
    { what: "down, timeout", fromMs: 1_000, toMs: 30_000, times: 3, before: [{ what: "something: db" }] },
    { what: "down, connection_refused", times: 1 },
    { what: "down, timeout", fromMs: 90_000, times: 1 },
  ]);
  expect(told).toEqual(books.alarms);
});

test("what is going on excuses until some time after its end", () => {
  const books = keepBooks(() => {});
  books.open();
  const disturbance = books.disturb("the broker is restarted");
  books.heard([said("unknown")], Date.now());
  const endMs = Date.now() + 5_000;
  disturbance.end(endMs);
  books.heard([said("unknown")], endMs);
  expect([books.alarms.length, books.excused.get("the broker is restarted")]).toEqual([0, 2]);
  books.heard([said("unknown")], endMs + 1);
  expect(books.alarms).toHaveLength(1);
});

test("a sabotage is noticed when heartbeats and /health both tell its very symptom", () => {
  const alarm = (where: FalseAlarm["where"], about: string, what: string): FalseAlarm => {
    return { where, about, what, detail: undefined, fromMs: 0, toMs: 0, times: 1, before: [] };
  };
  const stalled = (where: FalseAlarm["where"]) => alarm(where, "queue:verified-work", "down, queue_stalled");
  const both = [stalled("heartbeat"), stalled("/health")];
  expect(uncovered("stop", both)).toEqual({ isNoticed: true, others: [] });
  expect(uncovered("kill", both).isNoticed).toBe(false);
  expect(uncovered("stop", [stalled("heartbeat")]).isNoticed).toBe(false);
  const missing = alarm("/health", "service:verified-worker", "down, consumer_missing");
  expect(uncovered("stop", [...both, missing]).others).toEqual([]);
  const other = alarm("/health", "service:db", "down, timeout");
  expect(uncovered("stop", [...both, other]).others).toEqual([other]);
});
