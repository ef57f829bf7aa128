import { once } from "node:events";
import net from "node:net";
import { onTestFinished } from "vitest";

export interface BreakableProxy {
  readonly port: number;
  /** Ends all connections, and each new one at once. */
  cut(): void;
  mend(): void;
  /**
   * What RabbitMQ does in an alarm, to every connection that is open: it says so, and reads nothing any more. A real alarm
   * would stop whoever else uses the same broker. To be called while the broker has nothing to say.
   */
  block(reason: string): void;
  unblock(): void;
}

/** A way to a broker on 127.0.0.1 on which things happen that happen to brokers. */
export async function breakableProxy(target: { host: string; port: number }): Promise<BreakableProxy> {
  const pairs = new Set<{ near: net.Socket; far: net.Socket }>();
  let isCut = false;
  const server = net.createServer((near) => {
    if (isCut) return near.destroy();
    const far = net.connect(target);
    const pair = { near, far };
    pairs.add(pair);
    for (const socket of [near, far]) {
      socket.on("error", () => {}); // either end may reset
      socket.on("close", () => end(pair));
    }
    near.pipe(far);
    far.pipe(near);
    return undefined;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  function end(pair: { near: net.Socket; far: net.Socket }): void {
    pair.near.destroy();
    pair.far.destroy();
    pairs.delete(pair);
  }
  function cut(): void {
    isCut = true;
    for (const pair of pairs) end(pair);
  }
  onTestFinished(() => {
    cut();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    cut,
    mend: () => (isCut = false),
    block(reason) {
      for (const { near, far } of pairs) {
        near.unpipe(far);
        near.pause();
        near.write(connectionMethod(CONNECTION_BLOCKED, shortString(reason)));
      }
    },
    unblock() {
      for (const { near, far } of pairs) {
        near.write(connectionMethod(CONNECTION_UNBLOCKED, Buffer.alloc(0)));
        near.pipe(far);
      }
    },
  };
}

const METHOD_FRAME = 1;
const FRAME_END = 0xce;
const CONNECTION_CLASS = 10;
const CONNECTION_BLOCKED = 60;
const CONNECTION_UNBLOCKED = 61;

/** A frame of AMQP 0-9-1 on channel 0. */
function connectionMethod(method: number, fields: Buffer): Buffer {
  const head = Buffer.alloc(11);
  head.writeUInt8(METHOD_FRAME, 0);
  head.writeUInt32BE(4 + fields.length, 3);
  head.writeUInt16BE(CONNECTION_CLASS, 7);
  head.writeUInt16BE(method, 9);
  return Buffer.concat([head, fields, Buffer.of(FRAME_END)]);
}

function shortString(text: string): Buffer {
  return Buffer.concat([Buffer.of(Buffer.byteLength(text)), Buffer.from(text)]);
}
