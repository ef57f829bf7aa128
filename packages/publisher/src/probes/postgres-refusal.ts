import type { Observation } from "../probe.ts";
import type { PostgresRefusal } from "./postgres-messages.ts";

/** What a connection pooler says for itself, under one code for many things. */
const UNKNOWN_TO_POOLER = /^no such (user|database)/;
const LOGIN_REFUSED_BY_POOLER = /^(no such user|(password |SASL )?auth(entication)? failed)/;
const QUERY_CANCELED = "57014";
const NO_SUCH_DATABASE = "3D000";

/** What a refusal tells of a server that was greeted by the name of a user that nobody has. */
export function refusedStranger({ sqlState, message }: PostgresRefusal): Observation {
  // Whoever says that there is no such user has started, and has looked.
  if (sqlState.startsWith("28")) return { state: "up" };
  // A server itself looks at the user first.
  if (sqlState === NO_SUCH_DATABASE || UNKNOWN_TO_POOLER.test(message)) {
    return { state: "unknown", reason: "unexpected_answer" };
  }
  return notReady(sqlState);
}

/** What a refusal of the login, or of the query, tells. */
export function refusedLogin({ sqlState, message }: PostgresRefusal): Observation {
  if (sqlState.startsWith("28")) return { state: "down", reason: "login_refused" };
  if (sqlState.startsWith("08") && LOGIN_REFUSED_BY_POOLER.test(message)) {
    return { state: "down", reason: "login_refused" };
  }
  if (UNKNOWN_TO_POOLER.test(message)) return { state: "down", reason: "unexpected_answer" };
  return notReady(sqlState);
}

/** 57P0x: it starts, stops or recovers. 53: it has no connection, memory or disk left. 08: a pooler has no server. */
function notReady(sqlState: string): Observation {
  if (/^(57P0[123]|53|08)/.test(sqlState)) return { state: "down", reason: "not_ready" };
  if (sqlState === QUERY_CANCELED) return { state: "down", reason: "timeout" };
  return { state: "down", reason: "unexpected_answer" };
}
