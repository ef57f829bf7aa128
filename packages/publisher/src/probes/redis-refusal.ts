import { printable } from "@pipeline-heartbeat/shared/printable.ts";
import type { Observation } from "../probe.ts";

interface Refusal {
  readonly error: RegExp;
  readonly state: "down" | "unknown";
  readonly reason: "login_refused" | "not_ready";
  readonly means: string;
}

/**
 * What Redis says in place of an answer, from version 5 on. Unknown is where Redis may be well and only our own
 * configuration is wrong; a login that is no longer accepted is a failure that operators want to see.
 */
const REFUSALS: readonly Refusal[] = [
  {
    error: /^-NOAUTH\b/,
    state: "unknown",
    reason: "login_refused",
    means: "wants a login: it needs passwordFile",
  },
  {
    error: /^-WRONGPASS\b|^-ERR invalid password/,
    state: "down",
    reason: "login_refused",
    means: "does not accept the password or the user",
  },
  {
    error:
      /^-ERR (AUTH <password> called without any password configured|Client sent AUTH, but no password is set)/,
    state: "unknown",
    reason: "login_refused",
    means: "has no password set: it needs no passwordFile, or a user",
  },
  {
    error: /^-ERR wrong number of arguments for 'auth' command/,
    state: "unknown",
    reason: "login_refused",
    means: "knows no users, only a password",
  },
  {
    error: /^-NOPERM\b/,
    state: "unknown",
    reason: "login_refused",
    means: "does not permit this user to PING",
  },
  {
    error: /^-DENIED\b/,
    state: "down",
    reason: "login_refused",
    means: "is in protected mode: it has no password and accepts nobody from another machine",
  },
  { error: /^-LOADING\b/, state: "down", reason: "not_ready", means: "still loads its data" },
  {
    error: /^-MASTERDOWN\b/,
    state: "down",
    reason: "not_ready",
    means: "is a replica that has lost its primary",
  },
  { error: /^-BUSY\b/, state: "down", reason: "not_ready", means: "is kept busy by a script" },
  { error: /^-MISCONF\b/, state: "down", reason: "not_ready", means: "cannot save its data" },
  {
    error: /^-ERR max number of clients\b/,
    state: "down",
    reason: "not_ready",
    means: "has as many clients as it may have",
  },
];

const QUOTED_LENGTH = 120;

/**
 * What a line in place of the answer tells; undefined is one that is none of Redis. A server's own words may repeat the
 * password that it was sent, whole, cut off or escaped, so then none of them is quoted.
 */
export function refusal(at: string, line: string | undefined, password: string | undefined): Observation {
  if (line === undefined) {
    return { state: "down", reason: "protocol_error", detail: `${at} does not speak the protocol of Redis` };
  }
  const known = REFUSALS.find(({ error }) => error.test(line));
  if (known) return { state: known.state, reason: known.reason, detail: `${at} ${known.means}` };
  const words = password === undefined ? `: ${printable(line.slice(0, QUOTED_LENGTH))}` : "";
  return { state: "down", reason: "unexpected_answer", detail: `${at} does not answer as expected${words}` };
}
