import type net from "node:net";
import { Duplex } from "node:stream";
import type { Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import type { Client, QueryResult } from "pg";
import { closedEarly, connectPostgres, sayFarewell } from "./postgres-connection.ts";
import {
  authenticationCode,
  cancelRequest,
  type Message,
  messageReader,
  PostgresFault,
  refusalOf,
  startupMessage,
  TERMINATE,
} from "./postgres-messages.ts";

export interface Login {
  readonly user: string;
  /** Undefined: the server is expected to ask for none. */
  readonly password: string | undefined;
  readonly database: string;
}

/**
 * A statement is ended by the server after so long. It is the last resort, for when our request to cancel it does not
 * reach the server: without an end, statements that wait for a lock would use up all of the server's connections.
 */
const STATEMENT_TIMEOUT_MS = 60_000;
const CANCEL_WITHIN_MS = 500;
/** No others: a pooler may refuse them. */
const SESSION_PARAMETERS = { application_name: "pipeline-heartbeat", client_encoding: "UTF8" };

/** The codes of its messages of type R that pg knows, all but the three steps of SCRAM with their size in bytes. */
const LOGIN_DONE = { code: 0, bytes: 9 };
const CLEAR_TEXT = { code: 3, bytes: 9 };
const MD5 = { code: 5, bytes: 13 };
const [SCRAM, SCRAM_CONTINUE, SCRAM_FINAL] = [10, 11, 12] as const;
const LOGIN_STEPS: ReadonlySet<number> = new Set([0, 3, 5, 10, 11, 12]);

/** Resolves when the query, one statement, was answered in a transaction in which nothing can be written. */
export async function askPostgres(
  socket: net.Socket,
  endpoint: Endpoint,
  login: Login,
  query: string,
  signal: AbortSignal,
): Promise<void> {
  const wall = behindWall(socket, login, endpoint.tls !== undefined);
  signal.throwIfAborted();
  const abort = () => wall.stream.destroy(new Error("aborted"));
  signal.addEventListener("abort", abort);
  try {
    const client = await clientOn(wall.stream, login);
    await client.connect();
    await client.query(`BEGIN READ ONLY; SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS}`);
    // The extended protocol takes one statement only: a second one could leave the transaction first.
    const statement = { text: query, queryMode: "extended" };
    requireAnswer(await client.query(statement));
    await client.query("ROLLBACK");
  } finally {
    signal.removeEventListener("abort", abort);
    const key = wall.key();
    if (signal.aborted && key) await cancel(key, endpoint);
    // Before the login is done a server would take the message for a wrong answer, and log that.
    if (!signal.aborted) await sayFarewell(socket, wall.isLoggedIn() ? TERMINATE : undefined);
  }
}

function requireAnswer({ command }: QueryResult): void {
  if (!command) throw new PostgresFault("unexpected_answer", "the query was not answered");
}

/** Every setting that pg would else look for in variables such as PGPASSWORD, or in ~/.pgpass, is given. */
async function clientOn(stream: Duplex, { user, password, database }: Login): Promise<Client> {
  // It costs several megabytes of memory, which only those who look at a PostgreSQL shall pay.
  const { Client } = await import("pg");
  const client = new Client({
    stream: () => stream,
    host: "wall",
    port: 1,
    user,
    database,
    ssl: false,
    sslnegotiation: "postgres",
    password: () => {
      if (password !== undefined) return password;
      throw new PostgresFault("login_refused", "the server asks for a password, and none is set", "unknown");
    },
  });
  // What fails is told by connect() and query(); this comes besides.
  client.on("error", () => {});
  return client;
}

/**
 * The stream that pg reads from. Its parser never ends on some messages, and on others throws where nobody catches it. So
 * it gets whole messages only, of those types that it needs; what is wrong and what the server refuses ends the stream.
 * pg's start-up message is replaced: it would carry what PGOPTIONS and the like say.
 */
function behindWall(socket: net.Socket, { user, database }: Login, isEncrypted: boolean) {
  const read = messageReader();
  const gateway = gate(isEncrypted);
  let key: Message | undefined;
  let hasStarted = false;

  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const message = hasStarted ? chunk : startupMessage({ user, database, ...SESSION_PARAMETERS });
      hasStarted = true;
      socket.write(message, () => done());
    },
  });
  function take(chunk: Buffer): void {
    try {
      for (const message of read(chunk)) {
        if (message.type === "K") key = message;
        else {
          gateway.pass(message);
          stream.push(message.bytes);
        }
      }
    } catch (error) {
      stop(error);
    }
  }
  function stop(error: unknown): void {
    socket.off("data", take);
    stream.destroy(error instanceof Error ? error : new Error("failed", { cause: error }));
  }
  // Set up by pg; it is connected already.
  const connected = {
    setNoDelay: () => stream,
    connect: () => {
      socket.on("data", take).on("error", stop);
      socket.once("end", () => stop(closedEarly())).once("close", () => stop(closedEarly()));
      process.nextTick(() => stream.emit("connect"));
      return stream;
    },
  };
  return {
    stream: Object.assign(stream, connected),
    key: () => key,
    isLoggedIn: () => gateway.isLoggedIn(),
  };
}

/** Lets pass what pg may have. Throws what ends the session instead. */
function gate(isEncrypted: boolean) {
  let isLoggedIn = false;
  let isScramOpen = false;

  function stepOfLogin(message: Message): void {
    const code = authenticationCode(message);
    if (!LOGIN_STEPS.has(code)) throw unable(`the server asks for a login that is not known here (${code})`);
    const fixed = [LOGIN_DONE, CLEAR_TEXT, MD5].find((step) => step.code === code);
    if (isLoggedIn || (fixed && fixed.bytes !== message.bytes.length)) throw outOfTurn();
    if (code === CLEAR_TEXT.code && !isEncrypted) {
      throw unable("the server asks for the password in clear text, which is sent by TLS only");
    }
    if (code === SCRAM || code === SCRAM_CONTINUE) isScramOpen = true;
    if (code === SCRAM_FINAL) isScramOpen = false;
    // A server that leaves out the last step has not shown that it knows the password.
    if (code === LOGIN_DONE.code && isScramOpen) throw outOfTurn();
    isLoggedIn = code === LOGIN_DONE.code;
  }
  return {
    isLoggedIn: () => isLoggedIn,
    pass(message: Message): void {
      if (message.type === "E") throw refusalOf(message);
      if (message.type === "R") stepOfLogin(message);
      else if (!isLoggedIn) throw outOfTurn();
    },
  };
}

function outOfTurn(): PostgresFault {
  return new PostgresFault("protocol_error", "the server's messages come out of turn");
}

function unable(message: string): PostgresFault {
  return new PostgresFault("login_refused", message, "unknown");
}

/** By a connection of its own, and without TLS, as libpq did: the key is good for nothing after this. */
async function cancel(key: Message, { host, port }: Endpoint): Promise<void> {
  try {
    const signal = AbortSignal.timeout(CANCEL_WITHIN_MS);
    await sayFarewell(await connectPostgres({ host, port, tls: undefined }, signal), cancelRequest(key));
  } catch {
    // The server ends the statement by itself in the end.
  }
}
