import { readFileSync } from "node:fs";
import tls from "node:tls";
import type { Certificate } from "./certificates.ts";
import { freshProxy } from "./fresh-proxy.ts";
import type { Proxy } from "./proxy.ts";

export interface TlsProxy extends Proxy {
  /** How many connections there were, the failed ones included. */
  readonly connections: number;
  /** The names that clients asked for; an address is never one. */
  readonly askedNames: readonly (string | undefined)[];
  /** Shows another certificate from the next connection on. */
  show(certificate: Certificate): void;
}

/**
 * Speaks TLS on a port of 127.0.0.1 and passes on what comes to a server that does not. With `clientCa`, clients have to
 * show a certificate of that authority; who shows another is hung up on, without the alert that RabbitMQ would send.
 */
export async function tlsProxy(
  target: { readonly host: string; readonly port: number },
  certificate: Certificate,
  { clientCa }: { readonly clientCa?: Certificate } = {},
): Promise<TlsProxy> {
  const clientOptions = clientCa && { requestCert: true, ca: readFileSync(clientCa.certPath) };
  const server = tls.createServer({ ...pair(certificate), ...clientOptions });
  let connections = 0;
  server.on("connection", () => (connections += 1));
  const askedNames: (string | undefined)[] = [];
  server.on("secureConnection", ({ servername }) => askedNames.push(servername || undefined));
  // A handshake that fails is what most of the tests are about.
  server.on("tlsClientError", () => {});
  return {
    ...(await freshProxy(target, { server })),
    get connections() {
      return connections;
    },
    askedNames,
    show(next) {
      // With other keys no client could resume a session that it began under the certificate of before.
      const ticketKeys = server.getTicketKeys();
      server.setSecureContext({ ...pair(next), ...clientOptions });
      server.setTicketKeys(ticketKeys);
    },
  };
}

function pair({ certPath, keyPath }: Certificate) {
  return { cert: readFileSync(certPath), key: readFileSync(keyPath) };
}
