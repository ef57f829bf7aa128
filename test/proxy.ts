import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { listenAtFreePort } from "./brokers/free-ports.ts";

/**
 * `hold`: no byte passes and no end either, as in a network that drops packets; what was sent meanwhile arrives later, as
 * TCP does it, if somebody still listens. `deaf`: that is so for what clients send, and what the server says passes.
 * `slow`: each piece is so much later. `cut`: each connection is ended at once. `refuse`: nobody listens.
 */
export type Weather = "pass" | "hold" | "deaf" | "cut" | "refuse" | { readonly slowMs: number };

export interface Proxy {
  readonly port: number;
  /** From now on. `cut` ends what is connected, `refuse` resets it. */
  set(weather: Weather): Promise<void>;
  /** Cuts every connection with a reset; new ones are let through. */
  reset(): void;
  /** Says this to each client that is connected, in the server's place. */
  say(bytes: Buffer): void;
  /** All bytes so far of each connection whose client has sent any, the first to do so first; for a proxy that records. */
  sent(): Buffer[];
  close(): Promise<void>;
}

export interface ProxyOptions {
  /** Keeps what clients send, for ever. */
  readonly isRecording?: boolean;
  /** What clients talk to, not yet listening: by default plain TCP. */
  readonly server?: net.Server;
  /** What is done, on each connection, with each piece that comes: by default it is passed on. */
  readonly relay?: (client: net.Socket, server: net.Socket) => Relay;
}

interface Relay {
  readonly fromClient: (piece: Buffer) => unknown;
  readonly fromServer: (piece: Buffer) => unknown;
}

/** Left to itself, a socket answers an end with its own at once, whatever the weather. */
const HALF_OPEN = { allowHalfOpen: true };

/** This ends as well where the other end is gone, of which its own pump tells. */
const writeTo = (socket: net.Socket) => (piece: Buffer) =>
  new Promise((written) => socket.write(piece, written));

const passOn = (client: net.Socket, server: net.Socket): Relay => ({
  fromClient: writeTo(server),
  fromServer: writeTo(client),
});

/** A way to a server, on a port of 127.0.0.1 that stays. */
export async function startProxy(
  target: { readonly host: string; readonly port: number },
  { isRecording = false, server = net.createServer(HALF_OPEN), relay = passOn }: ProxyOptions = {},
): Promise<Proxy> {
  const sockets = new Set<net.Socket>();
  const clients = new Set<net.Socket>();
  const recordings: Buffer[][] = [];
  let weather: Weather = "pass";
  let thawed = Promise.withResolvers<void>();

  /** For the delay, and then as long as nothing may pass. */
  async function delay(isFromClient: boolean): Promise<void> {
    if (typeof weather === "object") await sleep(weather.slowMs);
    while (weather === "hold" || (weather === "deaf" && isFromClient)) await thawed.promise;
  }

  async function pump(from: net.Socket, to: net.Socket, { fromClient, fromServer }: Relay): Promise<void> {
    const isFromClient = clients.has(from);
    const recording: Buffer[] = [];
    try {
      for await (const piece of from) {
        if (isRecording && isFromClient && recording.push(piece) === 1) recordings.push(recording);
        await delay(isFromClient);
        await (isFromClient ? fromClient(piece) : fromServer(piece));
      }
      await delay(isFromClient);
      to.end();
    } catch {
      // Either end was cut: then so is the other, but for what the weather keeps from being known.
      await delay(isFromClient);
      to.destroy();
    }
  }

  function track(socket: net.Socket, all = sockets): void {
    all.add(socket);
    socket.on("error", () => {}); // told by the pump
    socket.once("close", () => all.delete(socket));
  }

  function connect(near: net.Socket): void {
    if (weather === "cut") return void near.destroy();
    const far = net.connect({ ...target, ...HALF_OPEN });
    track(near, clients);
    track(far);
    for (const socket of [near, far]) socket.setNoDelay(true);
    const relayed = relay(near, far);
    void pump(near, far, relayed);
    void pump(far, near, relayed);
  }

  function reset(): void {
    for (const socket of sockets) socket.resetAndDestroy();
  }

  async function refuse(): Promise<void> {
    if (!server.listening) return;
    const closed = once(server.close(), "close");
    reset();
    await closed;
  }

  async function set(next: Weather): Promise<void> {
    weather = next;
    thawed.resolve();
    thawed = Promise.withResolvers();
    if (next === "cut") for (const socket of sockets) socket.destroy();
    if (next === "refuse") await refuse();
    else if (!server.listening) await once(server.listen(port, "127.0.0.1"), "listening");
  }

  // With TLS this is what lies beneath: it may be ended before it can be talked over.
  server.on("connection", (socket) => track(socket));
  server.on(server instanceof tls.Server ? "secureConnection" : "connection", connect);
  const port = await listenAtFreePort(server);
  return {
    port,
    set,
    reset,
    say: (bytes) => clients.forEach((client) => client.write(bytes)),
    sent: () => recordings.map((pieces) => Buffer.concat(pieces)),
    close: () => set("refuse"),
  };
}
