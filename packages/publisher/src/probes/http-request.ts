import http from "node:http";
import https from "node:https";
import { sharedLookup } from "@pipeline-heartbeat/shared/shared-lookup.ts";
import { type TlsSettings, tlsOptions } from "@pipeline-heartbeat/shared/tls.ts";

export interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Undefined for an http URL. */
  readonly tls: TlsSettings | undefined;
}

/** Switching to another protocol was not asked for. */
class Switched extends Error {
  readonly code = "HPE_UPGRADE";
}

/**
 * What `use` makes of the reply to a request without a body, on a connection of its own that is closed after it. Rejects
 * when there is no reply, and with the signal. Redirects are replies like others.
 */
export async function withReply<T>(
  url: URL,
  { method, headers, tls }: HttpRequest,
  signal: AbortSignal,
  use: (reply: http.IncomingMessage) => Promise<T>,
): Promise<T> {
  // No agent: neither a connection nor a TLS session is one of before, which would say less than a new one.
  const options = {
    method,
    headers: { ...headers, "accept-encoding": "identity" },
    signal,
    agent: false,
    lookup: sharedLookup,
  };
  const request =
    url.protocol === "https:"
      ? https.request(url, { ...options, ...(tls && tlsOptions(tls)) })
      : http.request(url, options);
  let failure: Error | undefined;
  request.on("error", (error) => (failure ??= error));
  try {
    return await new Promise<T>((resolve, reject) => {
      request.on("response", (reply) => {
        // Nobody may be reading the body.
        reply.on("error", () => {});
        // At once: with its end the connection is gone, and what there is to tell of it.
        resolve(use(reply));
      });
      request.on("error", reject);
      request.on("upgrade", (_reply, socket) => {
        socket.destroy();
        reject(new Switched("the protocol was switched"));
      });
      request.end();
    });
  } catch (error) {
    // Of a body that is no HTTP any more the reply says only that it was cut off.
    throw failure ?? error;
  } finally {
    request.destroy();
  }
}

/** The whole body, or undefined where it is larger than so many bytes. Rejects when it is cut off. */
export async function bodyOf(reply: http.IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  // One buffer: of a body in pieces of one byte each piece would take up a hundred.
  const body = Buffer.alloc(maxBytes);
  let bytes = 0;
  for await (const piece of reply as AsyncIterable<Buffer>) {
    if (maxBytes < bytes + piece.length) return undefined;
    bytes += piece.copy(body, bytes);
  }
  return body.subarray(0, bytes);
}
