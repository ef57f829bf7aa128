import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { promisify } from "node:util";
import { once } from "node:events";
import * as grpcJs from "@grpc/grpc-js";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { type Certificate, createAuthority } from "../../../test/certificates.ts";
import { grpc } from "../src/probes/grpc.ts";
import { lookWith } from "./look-with.ts";

const host = "127.0.0.1";
const folder = mkdtempSync(join(tmpdir(), "grpc-probe-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** The one method of grpc.health.v1 that is called, without an encoding of its messages. */
const HEALTH = {
  check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: (message: Buffer) => message,
    requestDeserialize: (message: Buffer) => message,
    responseSerialize: (message: Buffer) => message,
    responseDeserialize: (message: Buffer) => message,
  },
};

type Answer = Buffer | Partial<grpcJs.StatusObject>;

/** A server by gRPC's own library that answers every request so; undefined: it has no health service. */
async function grpcServer(
  answer: ((request: Buffer) => Answer) | undefined,
  credentials: grpcJs.ServerCredentials = grpcJs.ServerCredentials.createInsecure(),
): Promise<number> {
  const server = new grpcJs.Server();
  onTestFinished(() => server.forceShutdown());
  if (answer) {
    server.addService(HEALTH, {
      check: ((call, done) => {
        const given = answer(call.request);
        if (Buffer.isBuffer(given)) done(null, given);
        else done(given);
      }) satisfies grpcJs.handleUnaryCall<Buffer, Buffer>,
    });
  }
  return await new Promise((resolve, reject) => {
    server.bindAsync(`${host}:0`, credentials, (error, port) => (error ? reject(error) : resolve(port)));
  });
}

/** `HealthCheckResponse` with this status. */
function healthMessage(status: number): Buffer {
  return Buffer.of(0x08, status);
}

const SERVING = healthMessage(1);

test("is up while the server says SERVING, and asks about it as a whole", async () => {
  const requests: string[] = [];
  const port = await grpcServer((request) => {
    requests.push(request.toString("hex"));
    return SERVING;
  });
  const seen = await lookWith(grpc, { host, port });
  expect(seen).toEqual({ state: "up", latencyMs: expect.any(Number) });
  expect(requests).toEqual([""]);
});

test.each([
  { service: "sda.Inbox", encoded: "0a097364612e496e626f78" },
  { service: "ä", encoded: "0a02c3a4" },
  { service: "x".repeat(300), encoded: `0aac02${"78".repeat(300)}` },
])("asks about the service $service", async ({ service, encoded }) => {
  const requests: string[] = [];
  const port = await grpcServer((request) => {
    requests.push(request.toString("hex"));
    return SERVING;
  });
  expect(await lookWith(grpc, { host, port, service })).toMatchObject({ state: "up" });
  expect(requests).toEqual([encoded]);
});

test.each<{ what: string; message: string; found: string }>([
  { what: "UNKNOWN", message: "0800", found: "down unexpected_answer" },
  { what: "no status, which is UNKNOWN", message: "", found: "down unexpected_answer" },
  { what: "NOT_SERVING", message: "0802", found: "down not_ready" },
  { what: "SERVICE_UNKNOWN", message: "0803", found: "down unexpected_answer" },
  { what: "a status of the future", message: "0804", found: "down unexpected_answer" },
  {
    what: "a status that is 1 only when cut to 32 bits",
    message: "088180808010",
    found: "down unexpected_answer",
  },
  { what: "SERVING, and then something else", message: "08010802", found: "down not_ready" },
  {
    what: "SERVING among fields that nobody knows",
    message: "10071a02686908012501020304290102030405060708",
    found: "up",
  },
  { what: "SERVING in a long form", message: "088100", found: "up" },
  { what: "another field's 1", message: "1001", found: "down unexpected_answer" },
  { what: "a text where the status should be", message: "0a0101", found: "down unexpected_answer" },
  { what: "a field that is cut off", message: "08011a0568", found: "down protocol_error" },
  { what: "a number that is cut off", message: "08010880", found: "down protocol_error" },
  { what: "a number that never ends", message: `08${"80".repeat(20)}01`, found: "down protocol_error" },
  { what: "a length beyond all bounds", message: "08011affffffffffffffff7f", found: "down protocol_error" },
  { what: "a field without a number", message: "08010001", found: "down protocol_error" },
  { what: "a group", message: "08011b1c", found: "down protocol_error" },
  { what: "too much", message: `0801${"1001".repeat(3_000)}`, found: "down answer_too_large" },
])("is $found when the answer is $what", async ({ message, found }) => {
  const port = await grpcServer(() => Buffer.from(message, "hex"));
  const { state, reason } = await lookWith(grpc, { host, port });
  expect([state, reason].filter(Boolean).join(" ")).toBe(found);
});

const { status: code } = grpcJs;

test.each([
  {
    status: code.NOT_FOUND,
    found: "down unexpected_answer",
    told: "does not know of the service x.Y (NOT_FOUND: oh)",
  },
  { status: code.UNAVAILABLE, found: "down not_ready", told: "answers UNAVAILABLE: oh" },
  { status: code.DEADLINE_EXCEEDED, found: "down timeout", told: "answers DEADLINE_EXCEEDED: oh" },
  { status: code.INTERNAL, found: "down unexpected_answer", told: "answers INTERNAL: oh" },
  { status: code.UNKNOWN, found: "down unexpected_answer", told: "answers UNKNOWN: oh" },
  {
    status: code.UNIMPLEMENTED,
    found: "unknown unexpected_answer",
    told: "has no health service (UNIMPLEMENTED: oh)",
  },
  {
    status: code.UNAUTHENTICATED,
    found: "unknown login_refused",
    told: "does not tell everybody its health (UNAUTHENTICATED: oh)",
  },
  {
    status: code.PERMISSION_DENIED,
    found: "unknown login_refused",
    told: "does not tell everybody its health (PERMISSION_DENIED: oh)",
  },
])("is $found when the call ends with the status $status", async ({ status, found, told }) => {
  const port = await grpcServer(() => ({ code: status, details: "oh" }));
  const { state, reason, detail } = await lookWith(grpc, { host, port, service: "x.Y" });
  expect(`${state} ${reason}`).toBe(found);
  expect(detail).toBe(`${host}:${port} ${told}`);
});

test("is unknown when a server has no health service at all", async () => {
  const port = await grpcServer(undefined);
  expect(await lookWith(grpc, { host, port })).toMatchObject({
    state: "unknown",
    reason: "unexpected_answer",
    detail: expect.stringContaining("has no health service"),
  });
});

test("tells a status's words decoded, in one short line of printable characters", async () => {
  const details = `no \u001b[2J\u202e\n50% ${"long ".repeat(100)}`;
  const port = await grpcServer(() => ({ code: code.INTERNAL, details }));
  const { detail } = await lookWith(grpc, { host, port });
  expect(detail).toMatch(/^[\x20-\x7e]{1,200}$/);
  expect(detail).toContain("INTERNAL: no \\u{1b}[2J\\u{202e}\\u{a}50% long");
});

describe("by TLS", () => {
  const authority = createAuthority(folder, { name: "site-ca" });
  const stranger = createAuthority(folder, { name: "other-ca" });
  const altNames = ["DNS:inbox.example"];
  const issued = authority.issue({ name: "inbox", altNames });
  const right = { caFile: authority.certPath, serverName: "inbox.example" };

  function credentials({ certPath, keyPath }: Certificate, clientCa?: Certificate): grpcJs.ServerCredentials {
    const pair = { cert_chain: readFileSync(certPath), private_key: readFileSync(keyPath) };
    const ca = clientCa ? readFileSync(clientCa.certPath) : null;
    return grpcJs.ServerCredentials.createSsl(ca, [pair], clientCa !== undefined);
  }

  test("the server's certificate is checked", async () => {
    const port = await grpcServer(() => SERVING, credentials(issued));
    const asked = (tls: object | true) => lookWith(grpc, { host, port, tls });
    expect(await asked(right)).toMatchObject({ state: "up" });
    expect(await asked(true)).toMatchObject({ state: "down", reason: "tls_failed" });
    expect(await asked({ ...right, caFile: stranger.certPath })).toMatchObject({ reason: "tls_failed" });
    expect(await asked({ ...right, serverName: "other.example" })).toMatchObject({ reason: "tls_failed" });
    const gone = { ...right, caFile: join(folder, "gone.pem") };
    expect(await asked(gone)).toMatchObject({ state: "unknown", reason: "file_unreadable" });
  });

  test("one that has expired is told as such", async () => {
    const validUntil = new Date(Date.now() - 3_600_000);
    const expired = authority.issue({ name: "expired", altNames, validUntil });
    const port = await grpcServer(() => SERVING, credentials(expired));
    expect(await lookWith(grpc, { host, port, tls: right })).toMatchObject({
      state: "down",
      reason: "certificate_expired",
    });
  });

  test("a client's certificate is shown where it is demanded", async () => {
    const client = authority.issue({ name: "client" });
    const port = await grpcServer(() => SERVING, credentials(issued, authority));
    const tls = { ...right, certFile: client.certPath, keyFile: client.keyPath };
    expect(await lookWith(grpc, { host, port, tls })).toMatchObject({ state: "up" });
    expect(await lookWith(grpc, { host, port, tls: right })).toMatchObject({ state: "down" });
  });

  test.each([
    { what: "offers only HTTP/1.1", ALPNProtocols: ["http/1.1"] },
    { what: "does not know of ALPN", ALPNProtocols: undefined },
  ])("a server that $what is down protocol_error", async ({ ALPNProtocols }) => {
    const files = { cert: readFileSync(issued.certPath), key: readFileSync(issued.keyPath) };
    const server = createTlsServer({ ...files, ...(ALPNProtocols && { ALPNProtocols }) });
    onTestFinished(() => void server.close());
    server.on("secureConnection", (socket) => socket.on("error", () => {}));
    await once(server.listen(0, host), "listening");
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    expect(await lookWith(grpc, { host, port, tls: right })).toMatchObject({
      state: "down",
      reason: "protocol_error",
    });
    const connections = promisify(server.getConnections.bind(server));
    await expect.poll(() => connections()).toBe(0);
  });

  test("the other protocol's port is down", async () => {
    const encrypted = await grpcServer(() => SERVING, credentials(issued));
    expect(await lookWith(grpc, { host, port: encrypted })).toMatchObject({ state: "down" });
    const plain = await grpcServer(() => SERVING);
    expect(await lookWith(grpc, { host, port: plain, tls: true })).toMatchObject({ state: "down" });
  });
});
