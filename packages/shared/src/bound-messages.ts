import type { Connection, MessageProperties } from "amqplib";

/** A class of frames: they carry a message's properties and the size of its body. */
const HEADER_FRAME = 2;
const HEADER_FRAME_START_BYTES = 7 + 12;
/** A broker that adds headers of its own to a message, as federation does, may exceed the size agreed on. */
const MAX_FRAME_BYTES = 1024 * 1024;

/** What amqplib has and its types do not tell: frames are taken one by one from what has been read of the socket. */
interface FrameReader extends Connection {
  rest: Buffer;
  maxFrameSize: number;
  recvFrame(): Frame | false;
}

interface Frame {
  readonly channel: number;
  /** In a header frame: the size of the body, in as many body frames as it takes. */
  size?: number;
  /** In a header frame: the properties, which amqplib passes on as they are. */
  readonly fields?: object;
  readonly content?: Buffer;
}

/** What was found out about a message before it was put together. */
export interface Bounds {
  /** The size of the whole body. */
  readonly bodyBytes: number;
  /** Whether its properties could be read. */
  readonly isReadable: boolean;
}

/**
 * Has a connection live through whatever somebody may publish. amqplib puts a body of any size together in memory, and
 * headers that it cannot decode (tables within tables, twenty thousand deep) end the connection, at each delivery anew.
 * From here on a body larger than `mostBytes` arrives as its first `headBytes`, and unreadable headers as none.
 * @returns what tells how a message of this connection was bounded
 */
export function boundMessages(
  connection: Connection,
  { mostBytes, headBytes }: { mostBytes: number; headBytes: number },
): (properties: MessageProperties) => Bounds | undefined {
  if (!isFrameReader(connection)) throw new Error("this version of amqplib reads its frames in another way");
  const found = new WeakMap<object, Bounds>();
  /** By channel: of the body that is being cut, how much is still to come and to be kept. */
  const cutting = new Map<number, { leftBytes: number; keptBytes: number }>();
  const receive = connection.recvFrame.bind(connection);
  let before = connection.rest;
  let isReceiving = false;

  function receiveReadable(): Frame | false {
    try {
      return receive();
    } catch (error) {
      // amqplib has gone on to the next frame by now.
      const frame = bareHeader(before);
      if (!frame) throw error;
      found.set(frame.fields, { bodyBytes: frame.size, isReadable: false });
      return frame;
    }
  }

  /** The frame to go on with in its place; undefined when there is none. */
  function bounded(frame: Frame): Frame | undefined {
    const { channel, size, fields, content } = frame;
    if (size !== undefined && fields && size > mostBytes) {
      found.set(fields, { isReadable: true, ...found.get(fields), bodyBytes: size });
      cutting.set(channel, { leftBytes: size, keptBytes: headBytes });
      return { ...frame, size: headBytes };
    }
    const cut = content && cutting.get(channel);
    if (!cut) return frame;
    // A copy: a part would keep all that was read together with it.
    const head = Buffer.from(content.subarray(0, cut.keptBytes));
    cut.leftBytes -= content.length;
    cut.keptBytes -= head.length;
    if (cut.leftBytes <= 0) cutting.delete(channel);
    return head.length > 0 ? { ...frame, content: head } : undefined;
  }

  connection.maxFrameSize = Math.max(connection.maxFrameSize, MAX_FRAME_BYTES);
  connection.recvFrame = () => {
    before = connection.rest;
    // amqplib calls itself when it has to read on.
    if (isReceiving) return receive();
    isReceiving = true;
    try {
      for (;;) {
        const frame = receiveReadable();
        const passed = frame && bounded(frame);
        if (passed !== undefined) return passed;
      }
    } finally {
      isReceiving = false;
    }
  };
  return (properties) => found.get(properties);
}

/** As it is in the version of amqplib that is locked. */
function isFrameReader(connection: Connection): connection is FrameReader {
  return "recvFrame" in connection && "rest" in connection && "maxFrameSize" in connection;
}

/** The header frame that begins here, with its properties left out. */
function bareHeader(bytes: Buffer): (Frame & { id: number; size: number; fields: object }) | undefined {
  if (bytes.length < HEADER_FRAME_START_BYTES || bytes[0] !== HEADER_FRAME) return undefined;
  return {
    channel: bytes.readUInt16BE(1),
    id: bytes.readUInt16BE(7),
    size: Number(bytes.readBigUInt64BE(11)),
    fields: { headers: {} },
  };
}
