import type { Proxy } from "./proxy.ts";

/**
 * What RabbitMQ does in an alarm, to every connection that is open: it says so, and reads nothing any more. A real alarm
 * would stop whoever else uses the same broker. To be called while the broker has nothing to say.
 */
export async function raiseAlarm(proxy: Proxy, reason: string): Promise<void> {
  await proxy.set("deaf");
  proxy.say(connectionMethod(CONNECTION_BLOCKED, shortString(reason)));
}

export async function endAlarm(proxy: Proxy): Promise<void> {
  proxy.say(connectionMethod(CONNECTION_UNBLOCKED, Buffer.alloc(0)));
  await proxy.set("pass");
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
