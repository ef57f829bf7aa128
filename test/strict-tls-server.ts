import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import type { Certificate } from "./certificates.ts";

/**
 * The port of a server that demands a certificate of `clientCa` from its clients and tells by a TLS alert why it refuses
 * one, as RabbitMQ does and Node does not. It speaks no protocol over TLS.
 */
export async function strictTlsServer(
  { certPath, keyPath }: Certificate,
  clientCa: Certificate,
  version: "tls1_2" | "tls1_3",
): Promise<number> {
  const own = ["-accept", "127.0.0.1:0", "-cert", certPath, "-key", keyPath, `-${version}`];
  const clients = ["-CAfile", clientCa.certPath, "-Verify", "1", "-verify_return_error"];
  // It ends with its input.
  const server = spawn("openssl", ["s_server", ...own, ...clients], { stdio: ["pipe", "pipe", "ignore"] });
  onTestFinished(() => void server.kill("SIGKILL"));
  for await (const line of createInterface({ input: server.stdout })) {
    const port = /^ACCEPT .*:(\d+)$/.exec(line)?.[1];
    if (port) {
      server.stdout.resume();
      return Number(port);
    }
  }
  throw new Error("openssl s_server did not start");
}
