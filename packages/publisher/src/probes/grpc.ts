import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { addressText } from "@pipeline-heartbeat/shared/address.ts";
import type { Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import type { Observation } from "../probe.ts";
import { connectedSocket, connectionError } from "./connected-socket.ts";
import { connectionFailure } from "./connection-failure.ts";
import { grpcCall } from "./grpc-call.ts";
import { healthCheckRequest } from "./grpc-health-message.ts";
import { judged } from "./grpc-verdict.ts";
import { host, port, text, tls, tlsSettings } from "./options.ts";
import { timed } from "./timed.ts";

const PATH = "/grpc.health.v1.Health/Check";

/** Up when it says SERVING by the standard health protocol, github.com/grpc/grpc/blob/master/doc/health-checking.md. */
export const grpc = probeKind({
  summary: "a gRPC server that says that it is serving",
  kind: "service",
  asks: "component",
  options: z.strictObject({
    host: host().describe("its name or address"),
    port: port().describe("1 to 65535"),
    service: text()
      .optional()
      .describe("which of its services is asked about, such as package.Service (the server as a whole)"),
    tls: tls().optional().describe("whether it speaks TLS (false)"),
  }),
  values: {},
  start: ({ host, port, service = "", tls }) => {
    const endpoint = { host, port, tls: tlsSettings(tls, host) };
    return timed((signal) => lookAt(endpoint, service, signal));
  },
});

async function lookAt(endpoint: Endpoint, service: string, signal: AbortSignal): Promise<Observation> {
  const at = addressText(endpoint);
  let socket: Socket | undefined;
  try {
    // Only here, as it takes 4 MB, and before the connection is made, which would not wait for it.
    const { connect } = await import("node:http2");
    socket = await connectedSocket(endpoint, signal, ["h2"]);
    if (socket instanceof TLSSocket && socket.alpnProtocol !== "h2")
      return notHttp2(at, "not chosen by ALPN");
    const end = await grpcCall(connect, socket, endpoint, PATH, healthCheckRequest(service));
    if (end.ended === "cut_off") throw connectionError("ECONNRESET", "the connection was closed");
    return judged(at, service, end);
  } catch (error) {
    if (!signal.aborted && isRefusedStream(error)) {
      return { state: "down", reason: "not_ready", detail: `${at} takes no calls any more` };
    }
    if (!signal.aborted && isHttp2Fault(error)) return notHttp2(at, errorText(error));
    return await connectionFailure(error, endpoint, signal);
  } finally {
    socket?.destroy();
  }
}

function notHttp2(at: string, fault: string): Observation {
  const detail = `${at} does not speak HTTP/2 as gRPC needs it (${fault}): is it the right port, with or without TLS?`;
  return { state: "down", reason: "protocol_error", detail };
}

/** How a server that is shutting down answers. */
function isRefusedStream(error: unknown): boolean {
  return errorCode(error) === "ERR_HTTP2_STREAM_ERROR" && /REFUSED_STREAM/.test(String(error));
}

function isHttp2Fault(error: unknown): boolean {
  const code = errorCode(error) ?? "";
  return /^ERR_HTTP2_(SESSION_|STREAM_)?ERROR$|_NO_APPLICATION_PROTOCOL$/.test(code);
}
