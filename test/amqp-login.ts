/** What an AMQP 0-9-1 client says first, and the bytes of all that it says afterwards. */
export function readLogin(sent: Buffer) {
  const frameStart = "AMQP0091".length;
  const frameHeaderBytes = 7;
  const methodBytes = 4;
  const frameEnd = frameStart + frameHeaderBytes + sent.readUInt32BE(frameStart + 3);
  const start = frameStart + frameHeaderBytes + methodBytes;
  const tableEnd = start + 4 + sent.readUInt32BE(start);
  const mechanismEnd = tableEnd + 1 + sent.readUInt8(tableEnd);
  const responseEnd = mechanismEnd + 4 + sent.readUInt32BE(mechanismEnd);
  return {
    clientProperties: readTable(sent.subarray(start + 4, tableEnd)),
    response: sent.toString("utf8", mechanismEnd + 4, responseEnd),
    locale: sent.toString("utf8", responseEnd + 1, frameEnd),
    after: sent.subarray(frameEnd),
  };
}

type Table = { [key: string]: string | boolean | Table };

/** The field table of an AMQP method, as far as it has texts, truth values and tables in it. */
function readTable(bytes: Buffer): Table {
  const table: Table = {};
  for (let at = 0; at < bytes.length;) {
    const keyEnd = at + 1 + bytes.readUInt8(at);
    const key = bytes.toString("utf8", at + 1, keyEnd);
    const type = bytes.toString("latin1", keyEnd, keyEnd + 1);
    if (type === "t") {
      table[key] = bytes.readUInt8(keyEnd + 1) === 1;
      at = keyEnd + 2;
    } else {
      const valueStart = keyEnd + 5;
      at = valueStart + bytes.readUInt32BE(keyEnd + 1);
      const value = bytes.subarray(valueStart, at);
      table[key] = type === "F" ? readTable(value) : value.toString();
    }
  }
  return table;
}
