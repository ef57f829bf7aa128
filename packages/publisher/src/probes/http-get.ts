import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { Transform } from "node:stream";
import { sharedLookup } from "@pipeline-heartbeat/shared/shared-lookup.ts";
import { tlsChecks, tlsFiles, type TlsSettings } from "@pipeline-heartbeat/shared/tls.ts";

export interface HttpReply {
  readonly statusCode: number;
  readonly text: string;
}

export interface HttpClientOptions {
  readonly tls: TlsSettings | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly maxConnections: number;
  readonly maxReplyBytes: number;
}

export interface HttpClient {
  /** Rejects when there is no whole reply: not reached, aborted, cut off, too large. Redirects are replies like others. */
  get(url: string, signal: AbortSignal): Promise<HttpReply>;
  close(): void;
}

/** Asks by GET and keeps its connections for the next time. Node's own client: a library's costs 15 MB of memory. */
export function httpClient({ tls, headers, maxConnections, maxReplyBytes }: HttpClientOptions): HttpClient {
  const keep = { keepAlive: true, maxSockets: maxConnections, lookup: sharedLookup };
  const plainAgent = new http.Agent(keep);
  const tlsAgent = new https.Agent({
    ...keep,
    // A resumed session would spare the server the check of its certificate.
    maxCachedSessions: 0,
    rejectUnauthorized: true,
    // A check that came with each request would have Node keep no connection.
    ...(tls && tlsChecks(tls)),
  });

  return {
    async get(url, signal) {
      const request = url.startsWith("https:")
        ? https.get(url, { agent: tlsAgent, headers, signal, ...(tls && tlsFiles(tls)) })
        : http.get(url, { agent: plainAgent, headers, signal });
      const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
        // It stays attached: an error that comes after the reply would be uncaught.
        request.on("response", resolve).on("error", reject);
        request.on("upgrade", (_reply, socket) => {
          socket.destroy();
          reject(new Error("the server switched to another protocol"));
        });
      });
      // An abort or a lost connection destroys the response, and with it the pipeline.
      const limited = response.pipe(atMost(maxReplyBytes));
      response.on("error", (error) => limited.destroy(error));
      // A reply that is not read to its end would keep its connection for ever.
      limited.on("error", () => response.destroy());
      return { statusCode: response.statusCode ?? 0, text: await text(limited) };
    },
    close() {
      plainAgent.destroy();
      tlsAgent.destroy();
    },
  };
}

function atMost(maxBytes: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) done(new Error(`the reply is larger than ${maxBytes} bytes`));
      else done(null, chunk);
    },
  });
}
