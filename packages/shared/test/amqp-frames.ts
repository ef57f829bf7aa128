// Methods of AMQP 0-9-1: class and number.
export const CONNECTION_CLOSE = 0x000a_0032;
export const CHANNEL_OPEN = 0x0014_000a;
export const CHANNEL_CLOSE = 0x0014_0028;
export const CHANNEL_CLOSE_OK = 0x0014_0029;
export const EXCHANGE_DECLARE = 0x0028_000a;
export const QUEUE_DECLARE = 0x0032_000a;
export const CONSUME = 0x003c_0014;

export const METHOD_FRAME = 1;
export const FRAME_HEAD_BYTES = 7;
/** What a client says before its first frame. */
export const PROTOCOL_HEADER_BYTES = 8;

/** Takes a stream in pieces and gives it in frames, the first of them of `headBytes` where that is not 0. */
export function framesOf(headBytes: number, onFrame: (frame: Buffer) => void): (data: Buffer) => void {
  let rest = Buffer.alloc(0);
  let isHead = headBytes > 0;
  return (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= FRAME_HEAD_BYTES + 1) {
      const bytes = isHead ? headBytes : FRAME_HEAD_BYTES + rest.readUInt32BE(3) + 1;
      if (rest.length < bytes) return;
      onFrame(rest.subarray(0, bytes));
      rest = rest.subarray(bytes);
      isHead = false;
    }
  };
}

export const channelOf = (frame: Buffer) => frame.readUInt16BE(1);

export function methodOf(frame: Buffer): number | undefined {
  return frame[0] === METHOD_FRAME ? frame.readUInt32BE(FRAME_HEAD_BYTES) : undefined;
}
