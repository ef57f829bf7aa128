import type { Socket } from "node:net";
import { addressText } from "@pipeline-heartbeat/shared/address.ts";
import type { Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import type { Observation } from "../probe.ts";
import { connectedSocket, connectionError } from "./connected-socket.ts";
import { connectionFailure } from "./connection-failure.ts";
import { filePath, host, port, readSecret, text, tls, tlsSettings } from "./options.ts";
import { refusal } from "./redis-refusal.ts";
import { timed } from "./timed.ts";

/** Redis' longest refusal, of whoever comes from elsewhere in its protected mode, has 1066. */
const MAX_REPLY_BYTES = 2048;

/** Up when it answers PING, after a login where there is a password. */
export const redis = probeKind({
  summary: "a Redis that answers PING",
  kind: "service",
  asks: "component",
  options: z
    .strictObject({
      host: host().describe("its name or address"),
      port: port().default(6379).describe("1 to 65535 (6379)"),
      tls: tls().optional().describe("whether it speaks TLS (false)"),
      user: text()
        .optional()
        .describe("a user of its access control list, with passwordFile (its default user)"),
      passwordFile: filePath()
        .optional()
        .describe("the file that holds the password (there is no login without it)"),
    })
    .refine(({ user, passwordFile }) => user === undefined || passwordFile !== undefined, {
      path: ["user"],
      error: "needs passwordFile, too",
    }),
  values: {},
  start: ({ host, port, tls, user, passwordFile }) => {
    const endpoint = { host, port, tls: tlsSettings(tls, host) };
    return timed((signal) => lookAt(endpoint, user, passwordFile, signal));
  },
});

async function lookAt(
  endpoint: Endpoint,
  user: string | undefined,
  passwordFile: string | undefined,
  signal: AbortSignal,
): Promise<Observation> {
  const at = addressText(endpoint);
  let socket: Socket | undefined;
  try {
    const password = passwordFile === undefined ? undefined : readSecret(passwordFile);
    socket = await connectedSocket(endpoint, signal);
    const ask = conversation(socket);
    if (password !== undefined) {
      const login = await ask("AUTH", ...(user === undefined ? [] : [user]), password);
      if (login !== "+OK") return refusal(at, login, password);
    }
    const answer = await ask("PING");
    return answer === "+PONG" ? { state: "up" } : refusal(at, answer, password);
  } catch (error) {
    return await connectionFailure(error, endpoint, signal);
  } finally {
    socket?.destroy();
  }
}

/**
 * Sends a command and returns the line that answers it, with its `+` or `-`; undefined when that is none of Redis. Rejects
 * when the connection ends before. Ask one after the other.
 */
function conversation(socket: Socket): (...command: readonly string[]) => Promise<string | undefined> {
  const chunks: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]();
  let held = Buffer.alloc(0);

  async function reply(): Promise<string | undefined> {
    for (;;) {
      const end = held.indexOf("\r\n");
      if (end > MAX_REPLY_BYTES || (end === -1 && held.length > MAX_REPLY_BYTES)) return undefined;
      // What speaks another protocol may never end its line.
      if (held.length > 0 && !"+-".includes(String.fromCharCode(held[0] ?? 0))) return undefined;
      if (end !== -1) {
        const line = held.toString("utf8", 0, end);
        held = held.subarray(end + 2);
        return line;
      }
      const { value, done } = await chunks.next();
      if (done) throw connectionError("ECONNRESET", "the connection was closed");
      held = Buffer.concat([held, value]);
    }
  }
  return async (...command) => {
    socket.write(encoded(command));
    return await reply();
  };
}

/** An array of bulk strings, which may hold anything. */
function encoded(command: readonly string[]): string {
  const parts = command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`);
  return `*${command.length}\r\n${parts.join("")}`;
}
