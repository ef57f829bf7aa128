import http from "node:http";
import https from "node:https";
import { boundConnections } from "@pipeline-heartbeat/shared/http-connections.ts";
import type { Logger } from "pino";
import type { HttpTls } from "./access-config.ts";
import { followRenewals, tlsContext } from "./renewal.ts";

const MAX_CONNECTIONS = 256;
/** Headers and address together. */
const MAX_HEADER_BYTES = 16 * 1024;
/** After so many its client connects anew: to a balancer's other subscribers, too, and with a renewed certificate. */
const MAX_REQUESTS_PER_CONNECTION = 1_000;

const HANDSHAKE_TIMEOUT_MS = 5_000;
/** From the connect, or the first byte of a later request, to the end of the headers. */
const HEADERS_TIMEOUT_MS = 5_000;
/** The same with the body, which nobody needs. */
const REQUEST_TIMEOUT_MS = 10_000;
const TIMEOUT_CHECK_MS = 1_000;
/** Longer than the minute for which balancers use a connection again, so that they do not meet its end. */
const KEEP_ALIVE_MS = 65_000;
/** For a client that takes nothing of its answer: it is noticed at the second look. More than /health may take. */
const STALLED_MS = 5_000;

/** A server within these limits, of HTTPS when there is `tls`; and what ends all its connections. */
export function boundedServer(tls: HttpTls | undefined, log: Logger) {
  const options: http.ServerOptions = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  };
  const server = tls ? httpsServer(options, tls, log) : http.createServer(options);
  server.timeout = STALLED_MS;
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
  return { server, endConnections: boundConnections(server, MAX_CONNECTIONS) };
}

function httpsServer(options: http.ServerOptions, { cert, key }: HttpTls, log: Logger): https.Server {
  const pair = () => ({ cert: cert.read(), key: key.read() });
  const server = https.createServer({
    ...options,
    ...tlsContext(pair()),
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  followRenewals(server, pair, log);
  return server;
}
