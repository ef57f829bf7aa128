import Fastify, { type FastifyInstance } from "fastify";
import type { Logger } from "pino";
import type { RejectionCode } from "../rejection.ts";
import type { Verdict } from "../verdict.ts";
import type { HttpTls } from "./access-config.ts";
import { plain, plainErrors } from "./errors.ts";
import { guard } from "./guard.ts";
import { healthBody, unreadableBody } from "./health.ts";
import { heartbeatBody, unreadableHeartbeatBody } from "./heartbeat.ts";
import { metricsBody } from "./metrics.ts";
import { securityHeaders } from "./security-headers.ts";
import { boundedServer } from "./server.ts";
import { shared } from "./shared.ts";
import { boundUnsent } from "./unsent.ts";

export interface AppOptions {
  /** The verdict of this moment; rejects, within 2 s, when the store cannot be read. */
  readonly currentVerdict: () => Promise<Verdict>;
  /** What keeps this service from doing its work, in words; empty when nothing does. Never rejects. */
  readonly unreadyReasons: () => Promise<string[]>;
  readonly isBrokerConnected: () => boolean;
  /** Messages that were quarantined since the start. */
  readonly rejectedCounts: () => ReadonlyMap<RejectionCode, number>;
  /** This program's. */
  readonly version: string;
  readonly expectedSites: readonly string[];
  readonly now: () => number;
  /** What /health's details, /heartbeat and /metrics need; undefined: nothing. */
  readonly apiToken: string | undefined;
  /** Undefined: HTTP. */
  readonly tls: HttpTls | undefined;
  readonly log: Logger;
}

/** No request needs a body. */
const MAX_BODY_BYTES = 1024;
const JSON_TYPE = "application/json; charset=utf-8";

/** The HTTP side: /health, /heartbeat and /metrics tell about the pipelines, /livez and /readyz about this service alone. */
export function buildApp({
  currentVerdict,
  unreadyReasons,
  isBrokerConnected,
  rejectedCounts,
  version,
  expectedSites,
  now,
  apiToken,
  tls,
  log,
}: AppOptions): FastifyInstance {
  const headers = securityHeaders(tls !== undefined);
  const { server, endConnections } = boundedServer(tls, log);
  const app = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    serverFactory: (handler) => server.on("request", handler),
    // An address that is none comes to no route and no hook.
    frameworkErrors: (_error, _request, reply) => void plain(reply.headers(headers), 400),
  });
  app.addHook("preClose", async () => endConnections());
  app.addHook("onRequest", async (_request, reply) => void reply.headers(headers));
  const isStranger = guard(app, { apiToken, log });
  plainErrors(app, log);
  boundUnsent(app);

  const health = shared(async () => {
    const body = await currentVerdict().then(
      (current) => healthBody(current, now()),
      (error: unknown) => unreadableBody(error, now()),
    );
    return { status: body.status, text: JSON.stringify(body) };
  });
  app.get("/health", async (request, reply) => {
    const { status, text } = await health();
    reply.code(status === "pass" ? 200 : 503).type(JSON_TYPE);
    return isStranger(request) ? JSON.stringify({ status }) : text;
  });

  const heartbeat = shared(async () => {
    const body = await currentVerdict().then(
      (current) => heartbeatBody(current, expectedSites),
      unreadableHeartbeatBody,
    );
    return { code: body.status === "ALL_OK" ? 200 : 503, text: JSON.stringify(body) };
  });
  app.get("/heartbeat", async (_request, reply) => {
    const { code, text } = await heartbeat();
    reply.code(code).type(JSON_TYPE);
    return text;
  });

  const metrics = shared(async () => {
    // Prometheus reads no metrics from a 503: an unreadable store is a metric, heartbeat_store_connected, no status.
    const verdict = await currentVerdict().catch(() => undefined);
    const own = { version, isBrokerConnected: isBrokerConnected(), rejectedCounts: rejectedCounts() };
    return await metricsBody({ ...own, verdict, expectedSites });
  });
  app.get("/metrics", async (_request, reply) => {
    const { contentType, text } = await metrics();
    reply.type(contentType);
    return text;
  });

  app.get("/livez", async () => ({ status: "pass" }));

  app.get("/readyz", async (_request, reply) => {
    const reasons = await unreadyReasons();
    reply.code(reasons.length === 0 ? 200 : 503);
    return { status: reasons.length === 0 ? "pass" : "fail", reasons };
  });

  return app;
}
