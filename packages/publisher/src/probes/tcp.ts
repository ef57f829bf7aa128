import { once } from "node:events";
import net from "node:net";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { sharedLookup } from "@pipeline-heartbeat/shared/shared-lookup.ts";
import { connectionReason, type Observation, type Probe } from "../probe.ts";

export interface TcpTarget {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** A restarted service listens again within a second, so that its restart is no alarm. */
const CONFIRM_AFTER_MS = 1_000;

/** Up when the port accepts a connection; nothing is sent. */
export function tcpProbe({ name, host, port }: TcpTarget): Probe {
  return {
    targets: [{ kind: "service", name, section: "hosts", probe: "tcp" }],
    confirmAfterMs: CONFIRM_AFTER_MS,
    look: async (signal) => [await lookAt(host, port, signal)],
  };
}

async function lookAt(host: string, port: number, signal: AbortSignal): Promise<Observation> {
  const startedMs = performance.now();
  const latencyMs = () => Math.round((performance.now() - startedMs) * 10) / 10;
  const socket = net.connect({ host, port, lookup: sharedLookup });
  // One that comes after the deadline would be uncaught.
  socket.on("error", () => {});
  try {
    await once(socket, "connect", { signal });
    if (isSelf(socket)) return { state: "down", reason: "connection_refused", latencyMs: latencyMs() };
    return { state: "up", latencyMs: latencyMs() };
  } catch (error) {
    const reason = signal.aborted ? "timeout" : connectionReason(errorCode(error));
    const detail = signal.aborted ? "no answer in time" : String(errorCode(error) ?? error);
    return { state: "down", reason, detail, latencyMs: latencyMs() };
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
