import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";
import { onTestFinished } from "vitest";
import type { Certificate } from "./certificates.ts";

export interface TlsProxy {
  readonly port: number;
  /** How many connections there were, the failed ones included. */
  readonly connections: number;
  /** The names that clients asked for; an address is never one. */
  readonly askedNames: readonly (string | undefined)[];
  /** Shows another certificate from the next connection on. */
  show(certificate: Certificate): void;
  /** Ends what is connected now. */
  disconnectAll(): void;
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
  const askedNames: (string | undefined)[] = [];
  const sockets = new Set<net.Socket>();
  const clientOptions = clientCa && { requestCert: true, ca: readFileSync(clientCa.certPath) };
  const server = tls.createServer({ ...pair(certificate), ...clientOptions }, (client) => {
    askedNames.push(client.servername || undefined);
    const upstream = net.connect(target);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  let connections = 0;
  server.on("connection", () => (connections += 1));
  // A handshake that fails is what most of the tests are about.
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const disconnectAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(() => {
    disconnectAll();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
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
    disconnectAll,
  };
}

function pair({ certPath, keyPath }: Certificate) {
  return { cert: readFileSync(certPath), key: readFileSync(keyPath) };
}
