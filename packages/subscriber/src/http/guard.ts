import rateLimit from "@fastify/rate-limit";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { tokenCheck } from "./api-token.ts";
import { plain } from "./errors.ts";
import { seldom } from "./seldom.ts";

/** Of one address; of IPv6 the first 64 bits are one. That is 50 a second for as long as it likes. */
const REQUESTS = { max: 500, timeWindow: 10_000, keyGenerator: addressOf };
/** Wrong tokens of one address. */
const GUESSES = { max: 20, timeWindow: 60_000, keyGenerator: addressOf };

/** Asked by whoever runs us: never limited, never counted, open to all. */
const PROBES: ReadonlySet<string | undefined> = new Set(["/livez", "/readyz"]);
/** Its status code is for everybody, its details are not. */
const OPEN_STATUS = "/health";

export interface GuardOptions {
  /** Without one everybody may read everything. */
  readonly apiToken: string | undefined;
  readonly log: Logger;
}

interface Refusal {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
}

/**
 * Stops requests, to whatever path, that are too many of their address or lack the token. A wrong token is refused by
 * /health, too: who shows one is better off knowing it.
 * @returns whether a request that came through is from somebody who may know the status code only
 */
export function guard(
  app: FastifyInstance,
  { apiToken, log }: GuardOptions,
): (request: FastifyRequest) => boolean {
  const strangers = new WeakSet<FastifyRequest>();
  app.register(rateLimit, { global: false });
  app.after(() => {
    const countRequest = app.createRateLimit(REQUESTS);
    const refusal = apiToken === undefined ? undefined : tokenGuard(app, apiToken, log);

    async function refused(request: FastifyRequest): Promise<Refusal | undefined> {
      const { url } = request.routeOptions;
      if (PROBES.has(url)) return undefined;
      const requests = await countRequest(request);
      if (!requests.isAllowed && requests.isExceeded) return tooMany(requests.ttlInSeconds);
      if (request.headers.authorization !== undefined || url !== OPEN_STATUS) return await refusal?.(request);
      if (refusal) strangers.add(request);
      return undefined;
    }

    app.addHook("onRequest", async (request, reply) => {
      const refusal = await refused(request);
      return refusal && plain(reply.headers(refusal.headers), refusal.code);
    });
  });
  return (request) => strangers.has(request);
}

/** Who has guessed too often is not even told that the next one is right. */
function tokenGuard(app: FastifyInstance, apiToken: string, log: Logger) {
  const isRight = tokenCheck(apiToken);
  const countGuess = app.createRateLimit(GUESSES);
  const isDue = seldom();

  async function judge(request: FastifyRequest, authorization: string): Promise<Refusal | undefined> {
    const guesses = await countGuess(request, { increment: false });
    if (!guesses.isAllowed && guesses.remaining === 0) {
      if (isDue()) log.warn({ address: addressOf(request) }, "too many wrong API tokens");
      return tooMany(guesses.ttlInSeconds);
    }
    if (isRight(authorization)) return undefined;
    await countGuess(request);
    return UNAUTHORIZED;
  }

  // One after the other: of many that come in one breath none must be looked at before those ahead of it are counted.
  let last: Promise<unknown> = Promise.resolve();
  return async (request: FastifyRequest): Promise<Refusal | undefined> => {
    const { authorization } = request.headers;
    if (authorization === undefined) return UNAUTHORIZED;
    const judged = last.then(() => judge(request, authorization));
    last = judged.catch(() => {}); // told to whoever asked
    return await judged;
  };
}

/** The address that is connected to us; of a connection that has ended it is not known any more. */
function addressOf(request: FastifyRequest): string {
  return rateLimit.normalizeIP(request.socket.remoteAddress ?? "");
}

function tooMany(waitSeconds: number): Refusal {
  return { code: 429, headers: { "retry-after": String(waitSeconds) } };
}

const UNAUTHORIZED: Refusal = {
  code: 401,
  headers: {
    // A line each: a browser looks for Basic and asks its user.
    "www-authenticate": [
      'Bearer realm="pipeline-heartbeat"',
      'Basic realm="pipeline-heartbeat", charset="UTF-8"',
    ],
  },
};
