import type net from "node:net";
import { freshProxy } from "../../../test/fresh-proxy.ts";
import { framesOf, methodOf, PROTOCOL_HEADER_BYTES } from "./amqp-frames.ts";

// Proxies that deal in their own way with one method that clients send, and pass on all else. A method is a number of
// `amqp-frames.ts`.

interface Target {
  readonly host: string;
  readonly port: number;
}

/** Resets the connection on which this method is sent, the first time. */
export async function cuttingProxy(
  target: Target,
  method: number,
): Promise<{ port: number; hasCut(): boolean }> {
  let isCut = false;
  const port = await methodProxy(target, method, (frame, client, broker) => {
    if (isCut) broker.write(frame);
    else client.resetAndDestroy();
    isCut = true;
  });
  return { port, hasCut: () => isCut };
}

/** The port of one where this method never gets an answer, although the broker is there and says so. */
export async function swallowingProxy(target: Target, method: number): Promise<number> {
  return await methodProxy(target, method, () => {});
}

async function methodProxy(
  target: Target,
  method: number,
  instead: (frame: Buffer, client: net.Socket, broker: net.Socket) => void,
): Promise<number> {
  const { port } = await freshProxy(target, {
    relay: (client, broker) => ({
      fromClient: framesOf(PROTOCOL_HEADER_BYTES, (frame) => {
        if (methodOf(frame) === method) instead(frame, client, broker);
        else broker.write(frame);
      }),
      fromServer: (piece) => client.write(piece),
    }),
  });
  return port;
}
