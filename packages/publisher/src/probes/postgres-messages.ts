import type { Reason, Observation } from "../probe.ts";

/** What a PostgreSQL server sends after the start: a letter for its type, its length, its body. */
export interface Message {
  readonly type: string;
  /** With the five bytes of the header. */
  readonly bytes: Buffer;
}

/** A look is over, because of what the peer did or because of what we cannot do. */
export class PostgresFault extends Error {
  override readonly name = "PostgresFault";
  readonly reason: Reason;
  readonly state: Observation["state"];

  constructor(reason: Reason, message: string, state: Observation["state"] = "down") {
    super(message);
    this.reason = reason;
    this.state = state;
  }
}

/** An ErrorResponse: the server speaks the protocol, and says no. */
export class PostgresRefusal extends Error {
  override readonly name = "PostgresRefusal";
  /** Five digits and letters. */
  readonly sqlState: string;

  constructor(sqlState: string, message: string) {
    super(message);
    this.sqlState = sqlState;
  }
}

const MAX_READ_BYTES = 1024 * 1024;
/** As in libpq, which takes a longer error for something that is not the protocol. */
const MAX_MESSAGE_BYTES = 30_000;
const HEADER_BYTES = 5;
/** The length counts itself, but not the letter. */
const LEAST_LENGTH = 4;

/** Authentication, ready, key, error, command complete, empty query, parse and bind complete, no data. */
const KEPT: ReadonlySet<string> = new Set("RZKECI12n");
const NOTICE = "N";
/** Notice, parameter, notification, descriptions, rows, copied rows: they tell a probe nothing. */
const PASSED_OVER: ReadonlySet<string> = new Set(`${NOTICE}SATtDHdc`);

/** Cuts what a server sends into messages. Of those that tell nothing no byte is kept. Throws PostgresFault. */
export function messageReader(): (chunk: Buffer) => Message[] {
  let readBytes = 0;
  let leftToPassOver = 0;
  let hasAnswered = false;
  let pending: Buffer = Buffer.alloc(0);

  return (chunk) => {
    readBytes += chunk.length;
    if (readBytes > MAX_READ_BYTES) throw tooLarge();
    const messages: Message[] = [];
    let rest = Buffer.concat([pending, chunk]);
    for (;;) {
      const passedOver = Math.min(leftToPassOver, rest.length);
      leftToPassOver -= passedOver;
      rest = rest.subarray(passedOver);
      if (rest.length < HEADER_BYTES) break;
      const type = String.fromCharCode(rest.readUInt8(0));
      const length = rest.readUInt32BE(1);
      checkHeader(type, length, hasAnswered);
      if (PASSED_OVER.has(type)) {
        leftToPassOver = 1 + length;
        continue;
      }
      if (rest.length < 1 + length) break;
      hasAnswered = true;
      messages.push({ type, bytes: rest.subarray(0, 1 + length) });
      rest = rest.subarray(1 + length);
    }
    pending = rest;
    return messages;
  };
}

/** Throws what is wrong with it. Before there is an answer, other protocols are to be told from this one. */
function checkHeader(type: string, length: number, hasAnswered: boolean): void {
  const isPassedOver = hasAnswered && PASSED_OVER.has(type);
  const isKnown = isPassedOver || ((KEPT.has(type) || type === NOTICE) && length <= MAX_MESSAGE_BYTES);
  if (!isKnown || length < LEAST_LENGTH) {
    throw new PostgresFault("protocol_error", "what answers does not speak PostgreSQL's protocol");
  }
  if (length > MAX_READ_BYTES) throw tooLarge();
}

function tooLarge(): PostgresFault {
  return new PostgresFault("answer_too_large", `the answer is larger than ${MAX_READ_BYTES} bytes`);
}

/** Which login a message of type R asks for; 0 is that none is needed any more. */
export function authenticationCode({ bytes }: Message): number {
  if (bytes.length >= HEADER_BYTES + 4) return bytes.readUInt32BE(HEADER_BYTES);
  throw new PostgresFault("protocol_error", "the server's request for a login has no end");
}

/** What a message of type E says. */
export function refusalOf({ bytes }: Message): PostgresRefusal | PostgresFault {
  const fields = bytes.toString("utf8", HEADER_BYTES).split("\0");
  const field = (letter: string) => fields.find((text) => text.startsWith(letter))?.slice(1);
  const sqlState = field("C");
  const message = field("M");
  if (message !== undefined && sqlState !== undefined && /^[0-9A-Z]{5}$/.test(sqlState)) {
    return new PostgresRefusal(sqlState, message);
  }
  return new PostgresFault("protocol_error", "the server's error message was not understood");
}

/** Version 3.0. None of the parameters may have a null character in it. */
export function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [name, value]);
  return withLength(Buffer.from([0, 3, 0, 0]), Buffer.from([...pairs, "", ""].join("\0")));
}

export const SSL_REQUEST = withLength(Buffer.from([4, 210, 22, 47]));
export const TERMINATE = Buffer.concat([Buffer.from("X"), withLength()]);

/** Asks that the query of another session is given up; `key` is that session's message of type K. */
export function cancelRequest(key: Message): Buffer {
  return withLength(Buffer.from([4, 210, 22, 46]), key.bytes.subarray(HEADER_BYTES));
}

function withLength(...parts: readonly Buffer[]): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, length.length));
  return Buffer.concat([length, ...parts]);
}
