import Fastify, { type FastifyInstance } from "fastify";
import type { RejectionCode } from "../rejection.ts";
import type { Verdict } from "../verdict.ts";
import { healthBody, unreadableBody } from "./health.ts";
import { heartbeatBody, unreadableHeartbeatBody } from "./heartbeat.ts";
import { metricsBody } from "./metrics.ts";

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
}

/** Requests have no body and few headers. */
const MAX_BODY_BYTES = 1024;

/** The HTTP side: /health, /heartbeat and /metrics tell about the pipelines, /livez and /readyz about this service alone. */
export function buildApp({
  currentVerdict,
  unreadyReasons,
  isBrokerConnected,
  rejectedCounts,
  version,
  expectedSites,
  now,
}: AppOptions): FastifyInstance {
  const app = Fastify({ bodyLimit: MAX_BODY_BYTES, forceCloseConnections: true });

  app.addHook("onSend", async (_request, reply) => {
    reply.header("cache-control", "no-store");
  });

  app.get("/health", async (_request, reply) => {
    try {
      const current = await currentVerdict();
      reply.code(current.isHealthy ? 200 : 503);
      return healthBody(current, now());
    } catch (error) {
      reply.code(503);
      return unreadableBody(error, now());
    }
  });

  app.get("/heartbeat", async (_request, reply) => {
    const body = await currentVerdict().then(
      (current) => heartbeatBody(current, expectedSites),
      unreadableHeartbeatBody,
    );
    reply.code(body.status === "ALL_OK" ? 200 : 503);
    return body;
  });

  app.get("/metrics", async (_request, reply) => {
    // Prometheus reads no metrics from a 503: an unreadable store is a metric, heartbeat_store_connected, and not the status.
    const verdict = await currentVerdict().catch(() => undefined);
    const own = { version, isBrokerConnected: isBrokerConnected(), rejectedCounts: rejectedCounts() };
    const known = { ...own, verdict, expectedSites };
    const { contentType, text } = await metricsBody(known);
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
