import type { IncomingMessage } from "node:http";
import { parseTagPattern } from "../tag-pattern.ts";
import type { Reason } from "../probe.ts";
import { bodyOf } from "./http-request.ts";
import { type JsonPath, parseJsonPath, valueAt } from "./json-path.ts";

/** So much of a body is read, and only where something is expected of it. */
const MAX_BODY_BYTES = 256 * 1024;
/** A tenth of a second in the worst case, in which nothing else is done. */
const MAX_PATTERN_STEPS = 2 ** 18;
/** Of each of the options that are told. */
const MAX_TOLD_LENGTH = 80;

export interface ExpectedBody {
  readonly bodyPattern?: string | undefined;
  readonly json?: { readonly path: string; readonly value?: JsonValue | undefined } | undefined;
}

type JsonValue = string | number | boolean | null;

/** What is wrong with a body. Its words never leave: a body can hold secrets. */
interface BodyProblem {
  readonly state: "down" | "unknown";
  readonly reason: Reason;
  readonly detail: string;
}

/** Undefined where a body is as expected. */
export type JudgeBody = (reply: IncomingMessage) => Promise<BodyProblem | undefined>;

type JudgeText = (text: string) => BodyProblem | undefined;

/** Undefined where nothing is expected. */
export function bodyJudge({ bodyPattern, json }: ExpectedBody): JudgeBody | undefined {
  const judges = [patternJudge(bodyPattern), jsonJudge(json)].filter((judge) => judge !== undefined);
  if (judges.length === 0) return undefined;
  return async (reply) => {
    const encoding = reply.headers["content-encoding"] ?? "identity";
    if (encoding.toLowerCase() !== "identity") return unexpected("the body is compressed, unasked");
    const body = await bodyOf(reply, MAX_BODY_BYTES);
    if (!body) {
      const detail = `the body is larger than ${MAX_BODY_BYTES} bytes`;
      return { state: "down", reason: "answer_too_large", detail };
    }
    // It drops a byte order mark, which JSON.parse would not take.
    const text = new TextDecoder().decode(body);
    return judges.map((judge) => judge(text)).find((problem) => problem !== undefined);
  };
}

function patternJudge(pattern: string | undefined): JudgeText | undefined {
  if (pattern === undefined) return undefined;
  const parsed = parseTagPattern(pattern);
  if (!parsed.ok) throw new Error(`not checked: bodyPattern ${parsed.reason}`);
  return (text) => {
    const isFound = parsed.matchesWithin(text, MAX_PATTERN_STEPS);
    if (isFound) return undefined;
    if (isFound === false) return unexpected("bodyPattern does not occur in the body");
    const detail = `bodyPattern takes too long in a body of ${text.length} characters`;
    return { state: "unknown", reason: "answer_too_large", detail };
  };
}

function jsonJudge(expected: ExpectedBody["json"]): JudgeText | undefined {
  if (!expected) return undefined;
  const path = parseJsonPath(expected.path);
  if (!path) throw new Error("not checked: json.path");
  return (text) => {
    const document = parseJson(text);
    if (!document) return unexpected("the body is no JSON");
    return judgeJson(document.value, path, expected);
  };
}

function judgeJson(
  document: unknown,
  path: JsonPath,
  expected: NonNullable<ExpectedBody["json"]>,
): BodyProblem | undefined {
  const found = valueAt(document, path);
  const where = expected.path.slice(0, MAX_TOLD_LENGTH);
  if (found === undefined) return unexpected(`the body has no ${where}`);
  if (expected.value === undefined || found === expected.value) return undefined;
  return unexpected(`${where} is not ${JSON.stringify(expected.value).slice(0, MAX_TOLD_LENGTH)}`);
}

function unexpected(detail: string): BodyProblem {
  return { state: "down", reason: "unexpected_answer", detail };
}

function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return { value };
  } catch {
    return undefined; // its words would repeat the body
  }
}
