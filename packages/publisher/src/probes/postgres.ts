import type net from "node:net";
import { connectionProblem, type Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import { printable } from "@pipeline-heartbeat/shared/printable.ts";
import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import type { Observation } from "../probe.ts";
import { connectionFailure } from "./connection-failure.ts";
import { filePath, FileProblem, host, port, readSecret, text, tls, tlsSettings } from "./options.ts";
import { connectPostgres, firstOf, sayFarewell } from "./postgres-connection.ts";
import {
  authenticationCode,
  messageReader,
  PostgresFault,
  PostgresRefusal,
  refusalOf,
  startupMessage,
  TERMINATE,
} from "./postgres-messages.ts";
import { refusedLogin, refusedStranger } from "./postgres-refusal.ts";
import { askPostgres } from "./postgres-session.ts";
import { timed } from "./timed.ts";

const DEFAULT_PORT = 5432;
const DEFAULT_QUERY = "SELECT 1";
/** Of whom no server should have heard. */
const STRANGER = "pipeline-heartbeat";
const DETAIL_LENGTH = 200;
/** The highest code of a request for a login, that for SASL. */
const LAST_LOGIN = 10;

const options = z
  .strictObject({
    host: host().describe("its name or address"),
    port: port().default(DEFAULT_PORT).describe(`1 to 65535 (${DEFAULT_PORT})`),
    tls: tls().optional().describe("whether the connection must be by TLS (false)"),
    user: word().optional().describe("who logs in; without one only the answer to a greeting is looked at"),
    passwordFile: filePath().optional().describe("a file with the user's password"),
    database: word().optional().describe("which database (the user's name)"),
    query: word().optional().describe(`one statement, which cannot write (${DEFAULT_QUERY})`),
  })
  .refine(
    ({ user, passwordFile }) => user !== undefined || passwordFile === undefined,
    needsUser("passwordFile"),
  )
  .refine(({ user, database }) => user !== undefined || database === undefined, needsUser("database"))
  .refine(({ user, query }) => user !== undefined || query === undefined, needsUser("query"));

/** Up when a query is answered or, where no user is named, when the server has started and asks who we are. */
export const postgres = probeKind({
  summary: "a PostgreSQL server that answers a query, or a greeting",
  kind: "service",
  asks: "component",
  options,
  values: {},
  start: (given) => {
    const { host, port, tls } = given;
    const endpoint = { host, port, tls: tlsSettings(tls, host) };
    return timed((signal) => lookAt(endpoint, given, signal));
  },
});

type Options = z.output<typeof options>;

/** The protocol ends a text with a null character: what is behind it would be something else. */
function word() {
  return text().regex(/^[^\0]*$/, "has a null character in it");
}

function needsUser(option: string) {
  return { path: [option], message: "needs a user" };
}

async function lookAt(endpoint: Endpoint, options: Options, signal: AbortSignal): Promise<Observation> {
  let socket: net.Socket | undefined;
  let password: string | undefined;
  try {
    if (options.passwordFile !== undefined) password = readSecret(options.passwordFile);
    socket = await connectPostgres(endpoint, signal);
    if (options.user === undefined) {
      await greet(socket, signal);
    } else {
      const { user, database = user, query = DEFAULT_QUERY } = options;
      await askPostgres(socket, endpoint, { user, password, database }, query, signal);
    }
    return { state: "up" };
  } catch (error) {
    return withoutSecret(await failure(error, endpoint, options, signal), password);
  } finally {
    socket?.destroy();
  }
}

/** Resolves when the server asks for a login, or needs none. */
async function greet(socket: net.Socket, signal: AbortSignal): Promise<void> {
  const read = messageReader();
  socket.write(startupMessage({ user: STRANGER }));
  const answer = await firstOf(socket, signal, (chunk) => read(chunk)[0]);
  if (answer.type === "E") throw refusalOf(answer);
  const code = answer.type === "R" ? authenticationCode(answer) : undefined;
  if (code === undefined || code > LAST_LOGIN) {
    throw new PostgresFault("protocol_error", "the greeting was not answered");
  }
  // Who is asked for a login may leave without a word, who is logged in may not.
  await sayFarewell(socket, code === 0 ? TERMINATE : undefined);
}

async function failure(
  error: unknown,
  endpoint: Endpoint,
  { user }: Options,
  signal: AbortSignal,
): Promise<Observation> {
  if (signal.aborted || error instanceof FileProblem || errorCode(error) !== undefined) {
    // Whoever is asked for a certificate by TLS alone would take that for a broken start-up.
    return await connectionFailure(error, endpoint, signal, connectionProblem);
  }
  if (error instanceof PostgresFault) {
    return { state: error.state, reason: error.reason, detail: error.message };
  }
  if (error instanceof PostgresRefusal) {
    const seen = user === undefined ? refusedStranger(error) : refusedLogin(error);
    return seen.state === "up" ? seen : { ...seen, detail: `${error.sqlState}: ${error.message}` };
  }
  // The words of pg, of a login that went wrong.
  return { state: "down", reason: "protocol_error", detail: errorText(error) };
}

/** The server's words may be as long as a message, and hold whatever it was sent. */
function withoutSecret({ detail, ...seen }: Observation, password: string | undefined): Observation {
  if (detail === undefined) return seen;
  const shown = password === undefined ? detail : detail.replaceAll(password, "(password)");
  return { ...seen, detail: printable(shown.slice(0, DETAIL_LENGTH)) };
}
