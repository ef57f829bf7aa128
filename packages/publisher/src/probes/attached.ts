import * as z from "zod";
import { probeKind, type Surroundings } from "../probe-kind.ts";
import type { Look, Observation } from "../probe.ts";
import { parseTagPattern, type TagPattern } from "../tag-pattern.ts";
import { emptyListDoubt } from "./empty-list-doubt.ts";
import type { QueueConsumer } from "./management-answers.ts";
import { managementLook } from "./management-look.ts";
import { attachedAmong, judgeMatching } from "./matching-consumers.ts";
import { text, whole } from "./options.ts";
import { shortened } from "./shortened.ts";
import { timed } from "./timed.ts";

const options = z.strictObject({
  queue: text().describe("the queue's name"),
  tags: z
    .array(tagPattern(), "expected a list")
    .min(1, "is empty")
    .max(100, "has more than 100")
    .describe(
      "Python regular expressions that are searched in consumers' tags; each one needs its consumers",
    ),
  min: whole(1, 10_000).default(1).describe("so many consumers of each tag at least (1)"),
});

type Options = z.output<typeof options>;

/** Up when each tag has its consumers attached to the queue. */
export const consumers = probeKind({
  summary: "consumers that are attached to a queue",
  kind: "service",
  asks: "broker",
  options,
  values: { consumers: "consumers attached, of the tag that has the fewest" },
  start: (options, surroundings) => timed(managementLook(lookWith(options, surroundings))),
});

interface ExpectedTag {
  readonly pattern: string;
  readonly matches: TagPattern;
}

function lookWith({ queue, tags, min }: Options, surroundings: Surroundings): Look {
  const { management, brokerConnectedAtMs, now } = surroundings;
  const expected = tags.map((pattern) => ({ pattern, matches: matcherOf(pattern) }));
  const isFalselyEmpty = emptyListDoubt([{ queue, listeners: tags }]);

  return async (signal) => {
    const found = (await management.consumersOf(queue, signal)) ?? "missing";
    if (isFalselyEmpty(new Map([[queue, found]]), brokerConnectedAtMs(), now())) {
      return { state: "unknown", reason: "list_empty_after_connect" };
    }
    return found === "missing" ? { state: "down", reason: "queue_missing" } : judgeTags(expected, min, found);
  };
}

/** The worst of what the tags show. */
function judgeTags(
  expected: readonly ExpectedTag[],
  min: number,
  attached: readonly QueueConsumer[],
): Observation {
  const found = expected.map(({ pattern, matches }) => {
    const matching = attached.filter(({ tag }) => matches(tag));
    return { pattern, count: attachedAmong(matching), seen: judgeMatching(matching, min) };
  });
  const worst =
    found.find(({ seen }) => seen.state === "down") ?? found.find(({ seen }) => seen.state === "unknown");
  const bad = found.filter(({ seen }) => seen.state !== "up");
  const detail = shortened(bad.map(({ pattern, seen }) => `${pattern}: ${seen.detail}`).join("; "));
  const values = { consumers: Math.min(...found.map(({ count }) => count)) };
  return worst ? { ...worst.seen, detail, values } : { state: "up", values };
}

/** It stays a text: what an option is tells print-config and whoever compares it with what it was. */
function tagPattern() {
  return z.string("expected a Python regular expression").superRefine((pattern, context) => {
    const parsed = parseTagPattern(pattern);
    if (!parsed.ok) context.addIssue(`cannot be used as a tag pattern: ${parsed.reason}`);
  });
}

function matcherOf(pattern: string): TagPattern {
  const parsed = parseTagPattern(pattern);
  if (!parsed.ok) throw new Error(`the tag pattern was not checked: ${parsed.reason}`);
  return parsed.matches;
}
