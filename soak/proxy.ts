import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * `hold`: no byte passes and no end either, as in a network that drops packets; what was sent meanwhile arrives later, as
 * TCP does it, if somebody still listens. `refuse`: nobody listens. `slow`: each piece is so much later.
 */
export type Weather = "pass" | "hold" | "refuse" | { readonly slowMs: number };

export interface Proxy {
  readonly port: number;
  /** From now on. `refuse` cuts what is connected. */
  set(weather: Weather): Promise<void>;
  /** Cuts every connection with a reset; new ones are let through. */
  reset(): void;
  close(): Promise<void>;
}

/** A way to a server, on a port of 127.0.0.1 that stays. */
export async function startProxy(target: { host: string; port: number }): Promise<Proxy> {
  const sockets = new Set<net.Socket>();
  let weather: Weather = "pass";
  let thawed = Promise.withResolvers<void>();
  let server: net.Server | undefined;

  /** As long as nothing may pass, and then for the delay. */
  async function delay(): Promise<void> {
    if (typeof weather === "object") await sleep(weather.slowMs);
    while (weather === "hold") await thawed.promise;
  }

  async function pump(from: net.Socket, to: net.Socket): Promise<void> {
    try {
      for await (const piece of from) {
        await delay();
        if (!to.write(piece)) await Promise.race([once(to, "drain"), once(to, "close")]);
      }
      await delay();
      to.end();
    } catch {
      // Either end was cut: then so is the other, but for what the weather keeps from being known.
      await delay();
      to.destroy();
    }
  }

  function connect(near: net.Socket): void {
    const far = net.connect(target);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on("error", () => {}); // told by the pump
      from.once("close", () => sockets.delete(from));
      void pump(from, to);
    }
  }

  async function listen(port: number): Promise<number> {
    server = net.createServer(connect).listen(port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    return typeof address === "object" && address ? address.port : port;
  }

  function reset(): void {
    for (const socket of sockets) socket.resetAndDestroy();
  }

  async function refuse(): Promise<void> {
    const closing = server;
    server = undefined;
    if (!closing) return;
    const closed = once(closing.close(), "close");
    reset();
    await closed;
  }

  const port = await listen(0);
  return {
    port,
    async set(next) {
      weather = next;
      thawed.resolve();
      thawed = Promise.withResolvers();
      if (next === "refuse") await refuse();
      else if (!server) await listen(port);
    },
    reset,
    async close() {
      weather = "pass";
      thawed.resolve();
      await refuse();
    },
  };
}
