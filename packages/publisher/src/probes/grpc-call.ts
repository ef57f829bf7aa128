import type http2 from "node:http2";
import type { Socket } from "node:net";
import { addressText } from "@pipeline-heartbeat/shared/address.ts";
import type { Endpoint } from "@pipeline-heartbeat/shared/connection-problem.ts";

/** How a call ended whose server speaks HTTP/2. */
export type CallEnd =
  | {
      readonly ended: "with_status";
      readonly status: number;
      readonly statusText: string;
      readonly message: Buffer | undefined;
    }
  | { readonly ended: "http_status"; readonly httpStatus: number | undefined }
  | { readonly ended: "not_grpc" }
  | { readonly ended: "too_large" }
  | { readonly ended: "cut_off" };

/** Many times what the answers that are asked for here have. */
const MAX_ANSWER_BYTES = 4096;
const MAX_STATUS_TEXT_LENGTH = 1000;
/** Before a message: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;
/** HTTP/2's error code. */
const CANCEL = 8;

/**
 * One call with one message and one answer, over a socket that is connected and of no use afterwards. Rejects when the
 * connection fails and when the peer does not speak HTTP/2; to destroy the socket ends it. By Node's own HTTP/2, as
 * @grpc/grpc-js costs memory, and keeps connections to servers that never answer.
 */
export async function grpcCall(
  connect: typeof http2.connect,
  socket: Socket,
  endpoint: Endpoint,
  path: string,
  message: Buffer,
): Promise<CallEnd> {
  const scheme = endpoint.tls ? "https" : "http";
  const session = connect(`${scheme}://localhost`, {
    createConnection: () => socket,
    settings: { enablePush: false },
    maxSessionMemory: 1,
  });
  // The stream has the same error; one that comes later would be uncaught.
  session.on("error", () => {});
  try {
    const headers = {
      ":method": "POST",
      ":scheme": scheme,
      ":authority": addressText(endpoint),
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    };
    const stream = session.request(headers, { endStream: false });
    stream.on("error", () => {});
    stream.end(framed(message));
    return await endOf(stream);
  } finally {
    session.destroy();
  }
}

async function endOf(stream: http2.ClientHttp2Stream): Promise<CallEnd> {
  let headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {};
  let trailers: http2.IncomingHttpHeaders | undefined;
  stream.on("response", (received) => (headers = received));
  stream.on("trailers", (received) => (trailers = received));
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) return { ended: "too_large" };
  }
  const { ":status": httpStatus } = headers;
  // Node ends a stream without an error, too, when the connection is closed or the server cancels the call.
  if (httpStatus === undefined) return { ended: "cut_off" };
  if (httpStatus !== 200) return { ended: "http_status", httpStatus };
  if (!/^application\/grpc(?:[+;]|$)/i.test(headers["content-type"] ?? "")) return { ended: "not_grpc" };
  // A server that has nothing to say but a status says it in its headers.
  const end = trailers ?? (bytes === 0 ? headers : {});
  const status = end["grpc-status"];
  if (status === undefined && stream.rstCode === CANCEL) return { ended: "cut_off" };
  if (typeof status !== "string" || !/^\d{1,9}$/.test(status)) return { ended: "not_grpc" };
  return {
    ended: "with_status",
    status: Number(status),
    statusText: percentDecoded(String(end["grpc-message"] ?? "").slice(0, MAX_STATUS_TEXT_LENGTH)),
    message: unframed(Buffer.concat(chunks)),
  };
}

function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Undefined unless there is exactly one message, whole and, as we offer no compression, not compressed. */
function unframed(body: Buffer): Buffer | undefined {
  if (body.length < PREFIX_BYTES || body[0] !== 0) return undefined;
  return body.readUInt32BE(1) === body.length - PREFIX_BYTES ? body.subarray(PREFIX_BYTES) : undefined;
}

/** As gRPC wants it: what is not encoded well is left as it is. */
function percentDecoded(encoded: string): string {
  return encoded.replace(/(?:%[0-9a-f]{2})+/gi, (run) =>
    Buffer.from(run.replaceAll("%", ""), "hex").toString(),
  );
}
