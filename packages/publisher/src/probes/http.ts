import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { addressText } from "@pipeline-heartbeat/shared/address.ts";
import { connectionProblem, endpointOf } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { chainOf } from "@pipeline-heartbeat/shared/shown-certificate.ts";
import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import type { Observation, Values } from "../probe.ts";
import { parseTagPattern } from "../tag-pattern.ts";
import { daysLeft } from "./certificate-days.ts";
import { connectionFailure } from "./connection-failure.ts";
import { bodyJudge } from "./http-answer.ts";
import { headerFiles, headers, isInBoth, readHeaders } from "./http-headers.ts";
import { withReply } from "./http-request.ts";
import { isExpectedStatus, rangesText, status } from "./http-status.ts";
import { parseJsonPath } from "./json-path.ts";
import { text, tlsDetails, tlsSettings } from "./options.ts";
import { timed } from "./timed.ts";

const MAX_REDIRECTS = 5;
const SUCCESS = [{ least: 200, most: 299 }];
const JSON_PATH = 'expected a path such as components.db.status, items[0].state or ["a.b"]';

const options = z
  .strictObject({
    url: text().superRefine(checkUrl).describe("http or https, without a user or password in it"),
    method: z
      .enum(["GET", "HEAD", "OPTIONS"], "expected GET, HEAD or OPTIONS: a probe must not change anything")
      .default("GET")
      .describe("GET, HEAD or OPTIONS (GET)"),
    status: status().default(SUCCESS).describe('what is expected: 200, "2xx", "200-299", or a list (2xx)'),
    bodyPattern: text()
      .superRefine(checkPattern)
      .optional()
      .describe("a regular expression, as in Python, that has to occur in the body"),
    json: z
      .strictObject({
        path: text()
          .refine((path) => parseJsonPath(path) !== undefined, JSON_PATH)
          .describe("what the body has to have, such as components.db.status or items[0].state"),
        value: z
          .union(
            [z.string(), z.number(), z.boolean(), z.null()],
            "expected a text, a number, true, false or null",
          )
          .optional()
          .describe("what has to stand there; without it: anything"),
      })
      .optional()
      .describe("what the body has to tell, as JSON"),
    headers: headers().default({}).describe("to be sent, with their values; no secrets"),
    headerFiles: headerFiles().default({}).describe("to be sent, each with the file that holds its value"),
    followRedirects: z
      .boolean("expected true or false")
      .default(false)
      .describe(`whether, on the same host, up to ${MAX_REDIRECTS} redirects are followed (false)`),
    tls: tlsDetails().optional().describe("authorities, a client certificate, the name to expect"),
  })
  .superRefine(checkTogether);

type HttpOptions = z.output<typeof options>;

/** Up when the server answers with the status, and the body, that is expected. */
export const http = probeKind({
  summary: "a web server that answers as expected",
  kind: "service",
  asks: "component",
  options,
  values: {
    http_status: "the status of the answer",
    certificate_days_left: "days until the server's certificate expires",
  },
  start: (options, { now }) => timed(looking(options, now)),
});

/** What one answer tells, or where it leads. */
type Seen = { readonly observation: Observation } | { readonly next: URL };

function looking(options: HttpOptions, now: () => number) {
  const judgeBody = bodyJudge(options);

  return async (signal: AbortSignal): Promise<Observation> => {
    let url = new URL(options.url);
    for (let redirects = 0; ; redirects += 1) {
      const seen = await ask(url, redirects, signal);
      if ("observation" in seen) return seen.observation;
      url = seen.next;
    }
  };

  async function ask(url: URL, redirects: number, signal: AbortSignal): Promise<Seen> {
    const endpoint = endpointOf(url.href, undefined);
    const tls = url.protocol === "https:" ? tlsSettings(options.tls ?? true, endpoint.host) : undefined;
    try {
      const sent = {
        method: options.method,
        headers: readHeaders(options.headers, options.headerFiles),
        tls,
      };
      return await withReply(url, sent, signal, async (reply) => {
        if (isExpectedStatus(statusOf(reply), options.status)) {
          return { observation: await judgeExpected(reply) };
        }
        const next = options.followRedirects ? redirectOf(url, reply) : undefined;
        if (next && redirects < MAX_REDIRECTS) return { next };
        return { observation: judgeUnexpected(reply, addressText(endpoint), redirects) };
      });
    } catch (error) {
      const to = { ...endpoint, tls };
      // The words of Node's HTTP parser.
      if (!signal.aborted && errorCode(error)?.startsWith("HPE_")) {
        const detail = connectionProblem(error, to);
        return { observation: { state: "down", reason: "protocol_error", detail } };
      }
      return { observation: await connectionFailure(error, to, signal) };
    }
  }

  async function judgeExpected(reply: IncomingMessage): Promise<Observation> {
    // While there is a connection: it may be gone with the end of the body.
    const values = valuesOf(reply, now());
    return { state: "up", ...(await judgeBody?.(reply)), values };
  }

  function judgeUnexpected(reply: IncomingMessage, at: string, redirects: number): Observation {
    const statusCode = statusOf(reply);
    const values = valuesOf(reply, now());
    const answered = `${at} answered ${statusCode}`;
    if ((statusCode === 401 || statusCode === 403) && Object.keys(options.headerFiles).length > 0) {
      return { state: "down", reason: "login_refused", detail: answered, values };
    }
    const redirect = 300 <= statusCode && statusCode <= 399 ? redirectNote(redirects) : "";
    const detail = `${answered}, not ${rangesText(options.status).slice(0, 80)}${redirect}`;
    return { state: "down", reason: "unexpected_status", detail, values };
  }

  function redirectNote(redirects: number): string {
    if (!options.followRedirects) return " (redirects are not followed)";
    return redirects < MAX_REDIRECTS ? " (it leads elsewhere)" : ` (after ${MAX_REDIRECTS} redirects)`;
  }
}

function statusOf({ statusCode = 0 }: IncomingMessage): number {
  return statusCode;
}

function valuesOf(reply: IncomingMessage, nowMs: number): Values {
  const own = reply.socket instanceof TLSSocket ? chainOf(reply.socket)[0] : undefined;
  return {
    http_status: statusOf(reply),
    ...(own && { certificate_days_left: daysLeft(own.validUntil, nowMs) }),
  };
}

/** Only where the headers, which may be secrets, are for: the same origin, or the same host by https. */
function redirectOf(from: URL, reply: IncomingMessage): URL | undefined {
  const { location } = reply.headers;
  if (!REDIRECTS.has(statusOf(reply)) || location === undefined || !URL.canParse(location, from.href)) {
    return undefined;
  }
  const to = new URL(location, from);
  if (to.username !== "" || to.password !== "") return undefined;
  const isUpgrade = from.protocol === "http:" && to.protocol === "https:" && to.hostname === from.hostname;
  return to.origin === from.origin || isUpgrade ? to : undefined;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

function checkUrl(given: string, context: z.RefinementCtx): void {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (!url || !/^https?:\/\//i.test(given)) context.addIssue("expected an http or https URL");
  else if (url.username !== "" || url.password !== "") {
    context.addIssue(
      "has a user or password in it: use headerFiles, with a file that holds Basic and both in base64",
    );
  }
}

function checkPattern(given: string, context: z.RefinementCtx): void {
  const parsed = parseTagPattern(given);
  if (!parsed.ok) context.addIssue(`is not usable as a pattern: ${parsed.reason}`);
}

function checkTogether(given: HttpOptions, context: z.RefinementCtx): void {
  const issue = (key: keyof HttpOptions, message: string) =>
    context.addIssue({ code: "custom", path: [key], message });
  if (given.method === "HEAD" && given.bodyPattern !== undefined) issue("bodyPattern", NO_BODY);
  if (given.method === "HEAD" && given.json !== undefined) issue("json", NO_BODY);
  if (given.tls && !given.followRedirects && /^http:/i.test(given.url)) issue("tls", "is for an https URL");
  if (isInBoth(given.headers, given.headerFiles))
    issue("headerFiles", "has a header that is in headers, too");
}

const NO_BODY = "the answer to HEAD has no body";
