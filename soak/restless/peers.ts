import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import { Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import type { Authority } from "../../test/certificates.ts";

const HOST = "127.0.0.1";

/** Something at a port that is looked at, and that can be started again at the same port. */
export interface Peer {
  readonly name: string;
  readonly port: number;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Those with a certificate show another one from now on. */
  renew?(): void;
}

/** Accepts connections and says nothing. */
export function tcpPeer(name: string, port: number): Peer {
  return listening(name, port, () => net.createServer((socket) => socket.on("error", () => {}).end()));
}

/** Says that it is well, in JSON. */
export function httpPeer(name: string, port: number): Peer {
  return listening(name, port, () =>
    http.createServer((_, response) => {
      response.setHeader("content-type", "application/json").end(JSON.stringify({ status: "UP" }));
    }),
  );
}

/** Speaks TLS, and HTTP over it, with a certificate that the authority has issued. */
export function tlsPeer(name: string, port: number, authority: Authority): Peer {
  let server: tls.Server | undefined;
  const certificate = () => {
    const { certPath, keyPath } = authority.issue({ name, altNames: [`IP:${HOST}`] });
    return { cert: readFileSync(certPath), key: readFileSync(keyPath) };
  };
  let shown = certificate();
  const peer = listening(name, port, () => {
    server = tls.createServer(shown, (socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(HTTP_ANSWER));
    });
    // A look that is content with the handshake ends within it.
    return server.on("tlsClientError", () => {});
  });
  return {
    ...peer,
    renew() {
      shown = certificate();
      server?.setSecureContext(shown);
    },
  };
}

const HTTP_ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/** Says SERVING by the standard health protocol. */
export function grpcPeer(name: string, port: number): Peer {
  let server: GrpcServer | undefined;
  return {
    name,
    port,
    async start() {
      const starting = new GrpcServer();
      starting.addService(HEALTH, { check: (_: unknown, done: Done) => done(null, SERVING) });
      await new Promise<void>((resolve, reject) =>
        starting.bindAsync(`${HOST}:${port}`, ServerCredentials.createInsecure(), (error) =>
          error ? reject(error) : resolve(),
        ),
      );
      server = starting;
    },
    async stop() {
      server?.forceShutdown();
      server = undefined;
    },
  };
}

type Done = (error: null, answer: Buffer) => void;

/** `HealthCheckResponse` with the status SERVING. */
const SERVING = Buffer.of(0x08, 1);
const asItIs = (message: Buffer) => message;

/** The one method of grpc.health.v1 that is called, without an encoding of its messages. */
const HEALTH = {
  check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  },
};

function listening(name: string, port: number, create: () => net.Server): Peer {
  const sockets = new Set<net.Socket>();
  let server: net.Server | undefined;
  return {
    name,
    port,
    async start() {
      server = create();
      server.on("connection", (socket: net.Socket) => {
        sockets.add(socket);
        socket.on("error", () => {}).once("close", () => sockets.delete(socket));
      });
      await once(server.listen(port, HOST), "listening");
    },
    async stop() {
      const stopped = server;
      server = undefined;
      if (!stopped) return;
      const closed = once(stopped.close(), "close");
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
