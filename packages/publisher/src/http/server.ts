import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import type { HttpAddress } from "@pipeline-heartbeat/shared/http-address.ts";
import { boundConnections } from "@pipeline-heartbeat/shared/http-connections.ts";
import type { Logger } from "pino";
import { METRICS_TYPE } from "./metrics.ts";

export interface HttpOptions extends HttpAddress {
  /** What keeps the publisher from doing its work, in words; empty when nothing does. */
  readonly unreadyReasons: () => string[];
  /** The body of /metrics. */
  readonly metrics: () => string;
  readonly log: Logger;
}

export interface HttpServer {
  /** Ends what is under way as well. */
  close(): void;
}

const MAX_HEADER_BYTES = 8 * 1024;
const MAX_CONNECTIONS = 32;
/** From the connect to the end of the request. */
const REQUEST_TIMEOUT_MS = 3_000;
const TIMEOUT_CHECK_MS = 500;

/**
 * /livez, /readyz and /metrics tell about this service alone. Node's own server: three routes are worth no library's memory.
 * An address that cannot be had is one warning: the heartbeats matter more.
 */
export function serveHttp({ host, port, log, ...told }: HttpOptions): HttpServer {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  });
  const endConnections = boundConnections(server, MAX_CONNECTIONS);
  server.on("request", (request, response) => answer(request, response, told));
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  server.on("error", (error) => {
    const code = errorCode(error) ?? String(error);
    // One connection that could not be accepted, as for want of file descriptors.
    if (server.listening) return log.debug({ code }, "http connection failed");
    log.warn(
      { cause: `HTTP_HOST, HTTP_PORT: cannot listen at ${address} (${code})` },
      "going on without http",
    );
  });
  server.listen({ host, port }, () => log.info({ address }, "listening"));
  return {
    close() {
      server.close();
      endConnections();
    },
  };
}

type Told = Pick<HttpOptions, "unreadyReasons" | "metrics">;

const ROUTES: Readonly<Record<string, (response: ServerResponse, told: Told) => void>> = {
  "/livez": (response) => replyJson(response, 200, { status: "pass" }),
  "/readyz"(response, { unreadyReasons }) {
    const reasons = unreadyReasons();
    if (reasons.length === 0) replyJson(response, 200, { status: "pass", reasons });
    else replyJson(response, 503, { status: "fail", reasons });
  },
  "/metrics": (response, { metrics }) => reply(response, 200, METRICS_TYPE, metrics()),
};

function answer(request: IncomingMessage, response: ServerResponse, told: Told): void {
  const [path = ""] = (request.url ?? "").split("?");
  const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;
  if (!route) return replyJson(response, 404, { error: "not found" });
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return replyJson(response, 405, { error: "method not allowed" });
  }
  route(response, told);
}

function replyJson(response: ServerResponse, statusCode: number, body: object): void {
  reply(response, statusCode, "application/json; charset=utf-8", JSON.stringify(body));
}

function reply(response: ServerResponse, statusCode: number, contentType: string, text: string): void {
  response.writeHead(statusCode, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    // Whoever asks comes every few seconds at most: nothing is kept open for the next time.
    connection: "close",
  });
  response.end(text);
}
