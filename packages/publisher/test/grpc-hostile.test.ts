import { once } from "node:events";
import http2 from "node:http2";
import type { Socket } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { grpc } from "../src/probes/grpc.ts";
import { lookWith } from "./look-with.ts";
import { flood, rawPeer } from "./raw-peer.ts";
import { silentPort } from "./silent-port.ts";

const host = "127.0.0.1";
const GRPC = { ":status": 200, "content-type": "application/grpc" };
/** A whole message that says SERVING. */
const SERVING = Buffer.from("00000000020801", "hex");
const FRAME = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7 } as const;

type Meet = (stream: http2.ServerHttp2Stream) => void;

/** A server that speaks HTTP/2 and answers as it is told. */
async function http2Server(meet: Meet): Promise<{ port: number; sessions: () => number }> {
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer();
  onTestFinished(() => {
    server.close();
    for (const session of sessions) session.destroy();
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session)).on("error", () => {});
  });
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    meet(stream);
  });
  await once(server.listen(0, host), "listening");
  const address = server.address();
  return { port: typeof address === "object" && address ? address.port : 0, sessions: () => sessions.size };
}

/** Answers with these headers, this body, and then these trailers. */
function answering(
  headers: http2.OutgoingHttpHeaders,
  body?: Buffer,
  trailers?: http2.OutgoingHttpHeaders,
): Meet {
  return (stream) => {
    stream.respond(headers, { endStream: body === undefined, waitForTrailers: trailers !== undefined });
    stream.on("wantTrailers", () => stream.sendTrailers(trailers ?? {}));
    if (body) stream.end(body);
  };
}

function frame(
  type: keyof typeof FRAME,
  payload: Buffer = Buffer.alloc(0),
  { flags = 0, stream = 0 } = {},
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = FRAME[type];
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** Begins as a server of HTTP/2 does, and goes on with these frames once it was asked. */
function framing(...frames: readonly Buffer[]): (socket: Socket) => void {
  return (socket) => {
    socket.write(frame("settings"));
    socket.once("data", () => socket.write(Buffer.concat(frames)));
  };
}

test("a server that answers well is up; a hundred looks leave no connection behind", async () => {
  const { port, sessions } = await http2Server(answering(GRPC, SERVING, { "grpc-status": "0" }));
  const looks = Array.from({ length: 100 }, () => lookWith(grpc, { host, port }));
  expect((await Promise.all(looks)).every(({ state }) => state === "up")).toBe(true);
  await vi.waitFor(() => expect(sessions()).toBe(0));
});

const message = (hex: string) => Buffer.from(hex, "hex");
const ok = { "grpc-status": "0" };

test.each<{ what: string; meet: Meet; found: string }>([
  { what: "SERVING without a status", meet: answering(GRPC, SERVING), found: "down protocol_error" },
  {
    what: "SERVING, but a status that is no number",
    meet: answering(GRPC, SERVING, { "grpc-status": "0x0" }),
    found: "down protocol_error",
  },
  {
    what: "SERVING, but two statuses",
    meet: answering(GRPC, SERVING, { "grpc-status": ["0", "14"] }),
    found: "down protocol_error",
  },
  {
    what: "SERVING, but a failure",
    meet: answering(GRPC, SERVING, { "grpc-status": "14" }),
    found: "down not_ready",
  },
  {
    what: "SERVING, but a status of the future",
    meet: answering(GRPC, SERVING, { "grpc-status": "99" }),
    found: "down unexpected_answer",
  },
  {
    what: "SERVING with its status in the headers",
    meet: answering({ ...GRPC, ...ok }, SERVING),
    found: "down protocol_error",
  },
  {
    what: "SERVING with the HTTP status 503",
    meet: answering({ ...GRPC, ":status": 503 }, SERVING, ok),
    found: "down unexpected_status",
  },
  {
    what: "SERVING as a web page",
    meet: answering({ ":status": 200, "content-type": "text/html" }, SERVING, ok),
    found: "down protocol_error",
  },
  {
    what: "SERVING as something like gRPC",
    meet: answering({ ...GRPC, "content-type": "application/grpc-web" }, SERVING, ok),
    found: "down protocol_error",
  },
  {
    what: "SERVING in gRPC's own encoding",
    meet: answering({ ...GRPC, "content-type": "application/grpc+proto" }, SERVING, ok),
    found: "up",
  },
  { what: "no message", meet: answering({ ...GRPC, ...ok }), found: "down protocol_error" },
  {
    what: "two messages",
    meet: answering(GRPC, Buffer.concat([SERVING, SERVING]), ok),
    found: "down protocol_error",
  },
  { what: "half a message", meet: answering(GRPC, SERVING.subarray(0, 6), ok), found: "down protocol_error" },
  { what: "half a frame", meet: answering(GRPC, SERVING.subarray(0, 3), ok), found: "down protocol_error" },
  {
    what: "a compressed message",
    meet: answering(GRPC, message("01000000020801"), ok),
    found: "down protocol_error",
  },
  {
    what: "a message of 4 GB",
    meet: answering(GRPC, message("00ffffffff0801"), ok),
    found: "down protocol_error",
  },
  {
    what: "only a failure",
    meet: answering({ ...GRPC, "grpc-status": "14", "grpc-message": "%zz%41" }),
    found: "down not_ready",
  },
  { what: "a page that is not found", meet: answering({ ":status": 404 }), found: "down unexpected_status" },
  {
    what: "data that never ends",
    meet: (stream) => {
      stream.respond(GRPC);
      const more = () => {
        while (stream.writable && stream.write(Buffer.alloc(16_384)));
      };
      stream.on("drain", more);
      more();
    },
    found: "down answer_too_large",
  },
  {
    what: "SERVING, and then a reset",
    meet: (stream) => {
      stream.respond(GRPC);
      stream.write(SERVING, () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
    },
    found: "down protocol_error",
  },
  {
    what: "SERVING, and then a lost connection",
    meet: (stream) => {
      stream.respond(GRPC);
      stream.write(SERVING, () => stream.session?.destroy());
    },
    found: "down connection_reset",
  },
])("is $found when the answer is $what", async ({ meet, found }) => {
  const { port, sessions } = await http2Server(meet);
  const { state, reason } = await lookWith(grpc, { host, port });
  expect([state, reason].filter(Boolean).join(" ")).toBe(found);
  await vi.waitFor(() => expect(sessions()).toBe(0));
});

const noError = Buffer.alloc(8);
const calm = message("000000000000000b");

test.each<{ what: string; meet: (socket: Socket) => void; reason: string }>([
  { what: "closes at once", meet: (socket) => void socket.end(), reason: "connection_reset" },
  {
    what: "closes when asked",
    meet: (socket) => void socket.once("data", () => socket.end()),
    reason: "connection_reset",
  },
  {
    what: "resets when asked",
    meet: (socket) => void socket.once("data", () => socket.resetAndDestroy()),
    reason: "connection_reset",
  },
  {
    what: "begins, and closes",
    meet: (socket) => {
      framing()(socket);
      socket.once("data", () => socket.end());
    },
    reason: "connection_reset",
  },
  {
    what: "speaks HTTP/1.1",
    meet: (socket) => void socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
    reason: "protocol_error",
  },
  {
    what: "is a Redis",
    meet: (socket) => void socket.once("data", () => socket.write("-ERR unknown command 'PRI'\r\n")),
    reason: "protocol_error",
  },
  {
    what: "talks garbage",
    meet: (socket) => void socket.write(Buffer.alloc(1000, 0xff)),
    reason: "protocol_error",
  },
  {
    what: "garbles its answer",
    meet: framing(frame("headers", message("ffffffffff"), { flags: 4, stream: 1 })),
    reason: "protocol_error",
  },
  {
    what: "answers another call",
    meet: framing(frame("data", SERVING, { flags: 1, stream: 3 })),
    reason: "protocol_error",
  },
  { what: "goes away", meet: framing(frame("goAway", noError)), reason: "not_ready" },
  { what: "goes away, and says why", meet: framing(frame("goAway", calm)), reason: "protocol_error" },
  {
    what: "refuses the call",
    meet: framing(frame("reset", message("00000007"), { stream: 1 })),
    reason: "not_ready",
  },
  {
    what: "resets the call",
    meet: framing(frame("reset", message("00000002"), { stream: 1 })),
    reason: "protocol_error",
  },
  {
    what: "says SERVING, and cancels the call",
    meet: framing(
      // :status: 200, content-type: application/grpc
      frame("headers", Buffer.concat([message("885f10"), Buffer.from("application/grpc")]), {
        flags: 4,
        stream: 1,
      }),
      frame("data", SERVING, { stream: 1 }),
      frame("reset", message("00000008"), { stream: 1 }),
    ),
    reason: "connection_reset",
  },
  {
    what: "ends the call without a word",
    meet: framing(frame("reset", message("00000000"), { stream: 1 })),
    reason: "connection_reset",
  },
])("is down $reason when the peer $what", async ({ meet, reason }) => {
  const peer = await rawPeer(meet);
  const startedMs = performance.now();
  expect(await lookWith(grpc, { host, port: peer.port })).toMatchObject({ state: "down", reason });
  expect(performance.now() - startedMs).toBeLessThan(2_000);
  await vi.waitFor(() => expect(peer.connections()).toBe(0));
});

test.each<{ what: string; meet: (socket: Socket) => void }>([
  { what: "says nothing", meet: () => {} },
  { what: "says nothing but that it speaks HTTP/2", meet: framing() },
  { what: "only accepts the call", meet: framing(frame("headers", message("88"), { flags: 4, stream: 1 })) },
  {
    what: "trickles pings",
    meet: (socket) => {
      framing()(socket);
      const trickling = setInterval(() => socket.write(frame("ping", Buffer.alloc(8))), 20);
      socket.on("close", () => clearInterval(trickling));
    },
  },
])("is down timeout with the signal, and lets go, when the peer $what", async ({ meet }) => {
  const peer = await rawPeer(meet);
  const startedMs = performance.now();
  const seen = await lookWith(grpc, { host, port: peer.port }, AbortSignal.timeout(300));
  expect(seen).toMatchObject({ state: "down", reason: "timeout" });
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  await vi.waitFor(() => expect(peer.connections()).toBe(0));
});

test("is down timeout when nobody accepts", async () => {
  const seen = await lookWith(grpc, { host, port: await silentPort() }, AbortSignal.timeout(300));
  expect(seen).toMatchObject({ state: "down", reason: "timeout" });
});

test.each([
  { what: "pings", bytes: frame("ping", Buffer.alloc(8)) },
  { what: "settings", bytes: frame("settings", message("000300000009")) },
  { what: "empty data", bytes: frame("data", Buffer.alloc(0), { stream: 1 }) },
  // :status: 103, which an answer may have any number of.
  {
    what: "early hints",
    bytes: frame("headers", message("0803313033"), { flags: 4, stream: 1 }),
  },
  { what: "nothing that anybody knows", bytes: Buffer.alloc(4096, 0x80) },
])("is down, in time, and lets go, when the peer floods it with $what", async ({ bytes }) => {
  const peer = await rawPeer((socket) => {
    framing()(socket);
    socket.once("data", () => flood(socket, Buffer.concat(Array.from({ length: 500 }, () => bytes))));
  });
  const startedMs = performance.now();
  const seen = await lookWith(grpc, { host, port: peer.port }, AbortSignal.timeout(1_000));
  expect(seen.state).toBe("down");
  expect(performance.now() - startedMs).toBeLessThan(2_000);
  await vi.waitFor(() => expect(peer.connections()).toBe(0));
});
