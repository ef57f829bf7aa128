import { printable } from "@pipeline-heartbeat/shared/printable.ts";
import type { Observation, Reason } from "../probe.ts";
import type { CallEnd } from "./grpc-call.ts";
import { servingStatus } from "./grpc-health-message.ts";

type Answer = Exclude<CallEnd, { ended: "cut_off" }>;
type Verdict = readonly ["down" | "unknown", Reason, string];

/** By their numbers, from 0 on. */
const STATUS_NAMES = `OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS
  PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE
  DATA_LOSS UNAUTHENTICATED`.split(/\s+/);

const QUOTED_LENGTH = 120;

/** What a server's answer about its health tells of it. Only SERVING, with a call that ended well, is up. */
export function judged(at: string, service: string, answer: Answer): Observation {
  const asked = service === "" ? "the server as a whole" : `the service ${quoted(service)}`;
  const verdict = verdictOn(asked, answer);
  if (verdict === "up") return { state: "up" };
  const [state, reason, what] = verdict;
  return { state, reason, detail: `${at} ${what}` };
}

function verdictOn(asked: string, answer: Answer): "up" | Verdict {
  switch (answer.ended) {
    case "http_status":
      return ["down", "unexpected_status", `answers with the HTTP status ${answer.httpStatus}`];
    case "not_grpc":
      return ["down", "protocol_error", "speaks HTTP/2, but not gRPC"];
    case "too_large":
      return ["down", "answer_too_large", "answers more than its health"];
    default:
      return answer.status === 0
        ? verdictOnHealth(asked, answer.message)
        : verdictOnStatus(asked, answer.status, answer.statusText);
  }
}

function verdictOnHealth(asked: string, message: Buffer | undefined): "up" | Verdict {
  const health = message && servingStatus(message);
  if (health === undefined) return ["down", "protocol_error", "answers what is no message about its health"];
  if (health === "SERVING") return "up";
  const reason = health === "NOT_SERVING" ? "not_ready" : "unexpected_answer";
  return ["down", reason, `says of ${asked}: ${health}`];
}

function verdictOnStatus(asked: string, status: number, statusText: string): Verdict {
  const name = STATUS_NAMES[status] ?? `the status ${status}`;
  const words = statusText === "" ? name : `${name}: ${quoted(statusText)}`;
  switch (name) {
    case "UNIMPLEMENTED":
      return ["unknown", "unexpected_answer", `has no health service (${words})`];
    // Where its health is behind a login, that it refuses us says nothing of it.
    case "PERMISSION_DENIED":
    case "UNAUTHENTICATED":
      return ["unknown", "login_refused", `does not tell everybody its health (${words})`];
    case "NOT_FOUND":
      return ["down", "unexpected_answer", `does not know of ${asked} (${words})`];
    case "UNAVAILABLE":
      return ["down", "not_ready", `answers ${words}`];
    case "DEADLINE_EXCEEDED":
      return ["down", "timeout", `answers ${words}`];
    default:
      return ["down", "unexpected_answer", `answers ${words}`];
  }
}

/** In one line, as somebody else chose the text. */
function quoted(text: string): string {
  return printable(text.slice(0, QUOTED_LENGTH));
}
