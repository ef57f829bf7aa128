import { once } from "node:events";
import { connect } from "node:net";
import { connect as connectByTls } from "node:tls";
import { connectionProblem, type Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { tlsOptions } from "@pipeline-heartbeat/shared/tls.ts";

const ANSWER_WITHIN_MS = 1_000;

/** ioredis does not tell why a sentinel or a node cannot be reached: each is tried once more. Never rejects. */
export async function unreachable(endpoints: readonly Endpoint[]): Promise<string[]> {
  const problems = await Promise.all(endpoints.map(problemOf));
  return problems.filter((problem) => problem !== undefined);
}

async function problemOf(endpoint: Endpoint): Promise<string | undefined> {
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

/** `work` as it is, but for calls while an earlier one is still at it: these do nothing. */
export function oneAtATime<Given>(work: (given: Given) => Promise<void>): (given: Given) => void {
  let isRunning = false;
  return (given) => {
    if (isRunning) return;
    isRunning = true;
    void work(given).finally(() => (isRunning = false));
  };
}
