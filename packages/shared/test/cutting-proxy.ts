import { freshProxy } from "../../../test/fresh-proxy.ts";
import { framesOf, methodOf, PROTOCOL_HEADER_BYTES } from "./amqp-frames.ts";

/**
 * The port of a proxy that resets the connection on which a client sends this method, once, in place of passing it on.
 * @param method as in `amqp-frames.ts`
 */
export async function cuttingProxy(
  target: { host: string; port: number },
  method: number,
): Promise<{ port: number; hasCut(): boolean }> {
  let isCut = false;
  const { port } = await freshProxy(target, {
    relay: (client, broker) => ({
      fromClient: framesOf(PROTOCOL_HEADER_BYTES, (frame) => {
        if (isCut || methodOf(frame) !== method) broker.write(frame);
        else {
          isCut = true;
          client.resetAndDestroy();
        }
      }),
      fromServer: (piece) => client.write(piece),
    }),
  });
  return { port, hasCut: () => isCut };
}
