import { readFileSync } from "node:fs";
import { createServer, type TlsOptions } from "node:tls";
import type { Certificate } from "../../../test/certificates.ts";
import { listeningPort } from "./listening-port.ts";

/** A port of 127.0.0.1 where a server shows this certificate, and says nothing. */
export async function tlsPort({ certPath, keyPath }: Certificate, options: TlsOptions = {}): Promise<number> {
  const own = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
  const server = createServer({ ...own, ...options }, (socket) => {
    socket.on("error", () => {});
    socket.resume();
  });
  server.on("tlsClientError", () => {}); // some clients are not content
  return await listeningPort(server);
}
