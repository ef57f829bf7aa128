import { once } from "node:events";
import net from "node:net";
import { sharedLookup } from "@pipeline-heartbeat/shared/shared-lookup.ts";
import type { TlsSettings } from "@pipeline-heartbeat/shared/tls.ts";
import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import type { Observation } from "../probe.ts";
import { connectionFailure } from "./connection-failure.ts";
import { host, port, tls, tlsSettings } from "./options.ts";
import { timed } from "./timed.ts";
import { handshake } from "./tls-handshake.ts";

/** Up when the port accepts a connection and, with TLS, the certificate is good; nothing is sent. */
export const tcp = probeKind({
  summary: "a port that accepts a connection",
  kind: "service",
  asks: "component",
  options: z.strictObject({
    host: host().describe("its name or address"),
    port: port().describe("1 to 65535"),
    tls: tls().optional().describe("whether the handshake of TLS is made, too (false)"),
  }),
  values: {},
  start: ({ host, port, tls }) => {
    const settings = tlsSettings(tls, host);
    return timed((signal) => lookAt(host, port, settings, signal));
  },
});

async function lookAt(
  host: string,
  port: number,
  settings: TlsSettings | undefined,
  signal: AbortSignal,
): Promise<Observation> {
  try {
    if (settings) await handshake({ host, port }, settings, signal);
    else if (await isConnectedWithSelf(host, port, signal)) {
      return { state: "down", reason: "connection_refused" };
    }
    return { state: "up" };
  } catch (error) {
    return await connectionFailure(error, { host, port, tls: settings }, signal);
  }
}

async function isConnectedWithSelf(host: string, port: number, signal: AbortSignal): Promise<boolean> {
  const socket = net.connect({ host, port, lookup: sharedLookup });
  // One that comes after the deadline would be uncaught.
  socket.on("error", () => {});
  try {
    await once(socket, "connect", { signal });
    return isSelf(socket);
  } finally {
    socket.destroy();
  }
}

/**
 * To a port on this machine where nobody listens the kernel may connect a socket with itself, when it happens to choose
 * that very port for our end.
 */
export function isSelf({ localPort, localAddress, remotePort, remoteAddress }: net.Socket): boolean {
  return localPort === remotePort && localAddress === remoteAddress;
}
