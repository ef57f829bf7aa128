import { freshProxy } from "../../../test/fresh-proxy.ts";
import {
  CHANNEL_CLOSE,
  CHANNEL_CLOSE_OK,
  channelOf,
  EXCHANGE_DECLARE,
  FRAME_HEAD_BYTES,
  framesOf,
  METHOD_FRAME,
  methodOf,
  PROTOCOL_HEADER_BYTES,
  QUEUE_DECLARE,
} from "./amqp-frames.ts";

const FRAME_END = 0xce;

/**
 * The port of a proxy that answers each passive declare with 403, as RabbitMQ 4.2.6 and 4.3.0 answer a user without the
 * configure permission, whether the object exists or not. All else goes to the broker, which learns that the channel is
 * closed.
 */
export async function passiveRefusingProxy(target: { host: string; port: number }): Promise<number> {
  const { port } = await freshProxy(target, {
    relay(client, broker) {
      const refused = new Set<number>();
      return {
        fromClient: framesOf(PROTOCOL_HEADER_BYTES, (frame) => {
          const channel = channelOf(frame);
          if (isPassiveDeclare(frame)) {
            refused.add(channel);
            broker.write(channelClose(channel, 200, ""));
          } else if (methodOf(frame) !== CHANNEL_CLOSE_OK || !refused.delete(channel)) {
            broker.write(frame);
          }
        }),
        fromServer: framesOf(0, (frame) => {
          const isRefused = methodOf(frame) === CHANNEL_CLOSE_OK && refused.has(channelOf(frame));
          client.write(isRefused ? channelClose(channelOf(frame), 403, "ACCESS_REFUSED - configure") : frame);
        }),
      };
    },
  });
  return port;
}

function isPassiveDeclare(frame: Buffer): boolean {
  const method = methodOf(frame);
  if (method !== EXCHANGE_DECLARE && method !== QUEUE_DECLARE) return false;
  // After the method comes a number that is not used, then the name, for an exchange its type, then the flags.
  let at = FRAME_HEAD_BYTES + 4 + 2;
  const texts = method === EXCHANGE_DECLARE ? 2 : 1;
  for (let text = 0; text < texts; text += 1) at += 1 + frame.readUInt8(at);
  return (frame.readUInt8(at) & 1) === 1;
}

function channelClose(channel: number, code: number, text: string): Buffer {
  const payload = Buffer.alloc(4 + 2 + 1 + text.length + 4);
  payload.writeUInt32BE(CHANNEL_CLOSE);
  payload.writeUInt16BE(code, 4);
  payload.writeUInt8(text.length, 6);
  payload.write(text, 7);
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUInt8(METHOD_FRAME);
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.of(FRAME_END)]);
}
