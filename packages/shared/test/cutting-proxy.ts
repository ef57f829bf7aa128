import { once } from "node:events";
import net from "node:net";
import { onTestFinished } from "vitest";
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
  const server = net.createServer((client) => {
    const broker = net.connect(target);
    client.on("error", () => {}).on("close", () => broker.destroy());
    broker.on("error", () => {}).on("close", () => client.destroy());
    broker.pipe(client);
    const passOn = framesOf(PROTOCOL_HEADER_BYTES, (frame) => {
      if (isCut || methodOf(frame) !== method) broker.write(frame);
      else {
        isCut = true;
        client.resetAndDestroy();
      }
    });
    client.on("data", passOn);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  return { port: typeof address === "object" && address ? address.port : 0, hasCut: () => isCut };
}
