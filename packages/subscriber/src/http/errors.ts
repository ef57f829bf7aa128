import { STATUS_CODES } from "node:http";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { Logger } from "pino";
import { seldom } from "./seldom.ts";

/** Answers in the same few words whatever went wrong: what it was is for the log. */
export function plainErrors(app: FastifyInstance, log: Logger): void {
  const isDue = seldom();
  app.setNotFoundHandler((_request, reply) => plain(reply, 404));
  app.setErrorHandler((error, _request, reply) => {
    const code = clientErrorCode(error);
    if (code === undefined) log[isDue() ? "error" : "debug"]({ err: error }, "http request failed");
    return plain(reply, code ?? 500);
  });
}

/** A code of 400 to 499 says that it is the request's fault. */
function clientErrorCode(error: unknown): number | undefined {
  const code = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
  return 400 <= code && code < 500 ? code : undefined;
}

export function plain(reply: FastifyReply, code: number): FastifyReply {
  return reply.code(code).send({ error: (STATUS_CODES[code] ?? "bad request").toLowerCase() });
}
