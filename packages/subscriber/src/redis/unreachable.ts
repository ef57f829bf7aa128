import { once } from "node:events";
import { connect } from "node:net";
import { connect as connectByTls } from "node:tls";
import { connectionProblem, type Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { tlsOptions } from "@pipeline-heartbeat/shared/tls.ts";

const ANSWER_WITHIN_MS = 1_000;

/**
 * Why none of the servers is of use, in words. ioredis tells what a server said, by `host:port`, but not why it cannot be
 * reached: each is tried once more. Empty when there is nothing to be said against any of them. Never rejects.
 */
export async function unreachable(
  endpoints: readonly Endpoint[],
  words: ReadonlyMap<string, string>,
): Promise<string> {
  const reasons = await Promise.all(
    endpoints.map(async (endpoint) => {
      const word = words.get(`${endpoint.host}:${endpoint.port}`);
      return (await connectProblem(endpoint)) ?? (word && connectionProblem(known(word), endpoint));
    }),
  );
  return reasons.filter(Boolean).join("; ");
}

async function connectProblem(endpoint: Endpoint): Promise<string | undefined> {
  const { host, port, tls } = endpoint;
  const socket = tls ? connectByTls({ host, port, ...tlsOptions(tls) }) : connect({ host, port });
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  try {
    await once(socket, tls ? "secureConnect" : "connect", { signal });
    return undefined;
  } catch (error) {
    return connectionProblem(signal.aborted ? new Error("connect ETIMEDOUT") : error, endpoint);
  } finally {
    socket.on("error", () => {}); // the first one tells
    socket.destroy();
  }
}

/** The words of ioredis as an error of which the cause is known. */
export function known(word: string): Error {
  if (word === "Connection is closed.") return new Error("Socket closed abruptly");
  return new Error(/^(timeout|Command timed out)$/.test(word) ? "connect ETIMEDOUT" : word);
}

/** `work` as it is, but for calls while an earlier one is still at it: these do nothing. */
export function oneAtATime(work: () => Promise<void>): () => void {
  let isRunning = false;
  return () => {
    if (isRunning) return;
    isRunning = true;
    void work().finally(() => (isRunning = false));
  };
}
