import { once } from "node:events";
import { constants } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Authority, type Certificate, createAuthority } from "../../../test/certificates.ts";
import { strictTlsServer } from "../../../test/strict-tls-server.ts";
import type { Policy } from "../src/policy.ts";
import type { Probe } from "../src/probe.ts";
import { isSelf, tcp } from "../src/probes/tcp.ts";
import { startWatch } from "../src/watch.ts";
import { listeningPort } from "./listening-port.ts";
import { silentPort } from "./silent-port.ts";
import { soon, startProbe } from "./start-probe.ts";
import { tlsPort } from "./tls-port.ts";

/** A port that accepts connections, or that refuses them when `isOpen` is false. */
async function localPort(isOpen: boolean): Promise<number> {
  const server = net.createServer((socket) => socket.on("error", () => {}));
  const port = await listeningPort(server);
  if (!isOpen) await once(server.close(), "close");
  return port;
}

test("a port that accepts is up, with the time it took", async () => {
  const seen = await startProbe(tcp, { host: "127.0.0.1", port: await localPort(true) })(soon());
  expect(seen).toMatchObject({ state: "up" });
  expect(seen.latencyMs).toBeGreaterThanOrEqual(0);
});

test.each(["127.0.0.1", "localhost"])("a port of %s that refuses is down", async (host) => {
  const seen = await startProbe(tcp, { host, port: await localPort(false) })(soon());
  expect(seen).toMatchObject({ state: "down", reason: "connection_refused" });
});

test("a socket that the kernel connected with itself is no service", async () => {
  // A port of which the kernel is made to choose it for our end: it is our own.
  const socket = new net.Socket();
  onTestFinished(() => void socket.destroy());
  const port = await localPort(false);
  socket.connect({ host: "127.0.0.1", port, localAddress: "127.0.0.1", localPort: port });
  await once(socket, "connect");
  expect(isSelf(socket)).toBe(true);
});

test("a name that does not exist is down", async () => {
  const seen = await startProbe(tcp, { host: "does-not-exist.invalid", port: 1 })(soon());
  expect(seen).toMatchObject({ state: "down", reason: "host_not_found" });
});

test("a host that never answers is down when the signal says so, not later", async () => {
  const silent = await silentPort();
  const startedMs = performance.now();
  const seen = await startProbe(tcp, { host: "127.0.0.1", port: silent })(AbortSignal.timeout(300));
  expect(seen).toMatchObject({ state: "down", reason: "timeout" });
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

test("200 hosts of which 20 never answer are looked at within the time-out and a second", async () => {
  const timeoutMs = 1_000;
  const ports = { silent: await silentPort(), open: await localPort(true) };
  const policy: Policy = {
    intervalMs: 60_000,
    timeoutMs,
    splayMs: 0,
    confirm: { looks: 2, pauseMs: 1_000 },
    recover: { looks: 1 },
    flapping: undefined,
    severity: "fail",
    dependsOn: [],
  };
  const probes = Array.from({ length: 200 }, (_, index): Probe => {
    const look = startProbe(tcp, { host: "127.0.0.1", port: index % 10 === 0 ? ports.silent : ports.open });
    const name = `host-${index}`;
    return {
      targets: [{ kind: "service", name, section: "hosts", probe: "tcp", subject: name, policy }],
      look: async (signal) => [await look(signal)],
    };
  });
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const startedMs = performance.now();
  const watch = startWatch(
    {
      concurrency: 100,
      now: () => ({ wallMs: Date.now(), monotonicMs: performance.now() }),
      random: Math.random,
      sleep: (ms, signal) => sleep(ms, undefined, { signal }),
      isExcused: () => false,
      log: pino({ level: "silent" }),
      onChange: () => {},
    },
    stopping.signal,
  );
  await watch.replace(probes);
  expect(performance.now() - startedMs).toBeLessThan(timeoutMs + 1_000);
  expect(watch.targets().filter(({ state }) => state === "up")).toHaveLength(180);
  // The second looks at the other 20.
  await vi.waitFor(
    () => expect(watch.targets().filter(({ reason }) => reason === "timeout")).toHaveLength(20),
    { timeout: 5_000 },
  );
});

describe("with TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "tcp-test-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const here = ["DNS:localhost", "IP:127.0.0.1"];
  let authority: Authority;
  let stranger: Authority;
  let server: Certificate;
  let client: Certificate;

  beforeAll(() => {
    authority = createAuthority(folder, { name: "site-ca" });
    stranger = createAuthority(folder, { name: "other-ca" });
    server = authority.issue({ name: "server", altNames: here });
    client = authority.issue({ name: "client" });
  });

  const secure = (port: number, tls: Parameters<typeof startProbe<typeof tcp.options>>[1]["tls"]) =>
    startProbe(tcp, { host: "127.0.0.1", port, tls })(soon());

  test("a certificate of the authority in caFile is up", async () => {
    const seen = await secure(await tlsPort(server), { caFile: authority.certPath });
    expect(seen).toEqual({ state: "up", latencyMs: expect.any(Number) });
  });

  test.each([
    { what: "the system's authorities", tls: () => true as const },
    { what: "another authority", tls: () => ({ caFile: stranger.certPath }) },
    {
      what: "a name that the certificate is not for",
      tls: () => ({ caFile: authority.certPath, serverName: "other.example" }),
    },
  ])("with $what it is down", async ({ tls }) => {
    expect(await secure(await tlsPort(server), tls())).toMatchObject({ state: "down", reason: "tls_failed" });
  });

  test("a port that speaks no TLS, or says nothing, is down", async () => {
    const plain = net.createServer((socket) => socket.on("error", () => {}).end("220 hello\r\n"));
    expect(await secure(await listeningPort(plain), true)).toMatchObject({
      state: "down",
      reason: "tls_failed",
    });
    const mute = startProbe(tcp, { host: "127.0.0.1", port: await localPort(true), tls: true });
    const startedMs = performance.now();
    expect(await mute(AbortSignal.timeout(200))).toMatchObject({ state: "down", reason: "timeout" });
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });

  describe.each(["tls1_2", "tls1_3"] as const)("where a client certificate is demanded, %s", (version) => {
    test("with the right one it is up, with none or another's it is down", async () => {
      const caFile = authority.certPath;
      const port = await strictTlsServer(server, authority, version);
      const other = stranger.issue({ name: `client-${version}` });
      const right = await secure(port, { caFile, certFile: client.certPath, keyFile: client.keyPath });
      expect(right).toMatchObject({ state: "up" });
      expect(await secure(port, { caFile })).toMatchObject({ state: "down", reason: "tls_failed" });
      const wrong = await secure(port, { caFile, certFile: other.certPath, keyFile: other.keyPath });
      expect(wrong).toMatchObject({ state: "down", reason: "tls_failed" });
    });
  });

  test("a refusal is seen behind a relay that closes both sides when one ends", async () => {
    const caFile = authority.certPath;
    const strict = await strictTlsServer(server, authority, "tls1_3");
    const relay = net.createServer((socket) => {
      const onward = net.connect(strict, "127.0.0.1");
      for (const [from, to] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        from.on("data", (piece) => to.write(piece)).on("error", () => {});
        from.on("end", () => [from, to].forEach((one) => one.destroy()));
      }
    });
    expect(await secure(await listeningPort(relay), { caFile })).toMatchObject({
      state: "down",
      reason: "tls_failed",
    });
  });

  test("a server that hangs up right after the handshake is down", async () => {
    const port = await listeningPort(
      createTlsServer(
        {
          cert: readFileSync(server.certPath),
          key: readFileSync(server.keyPath),
          secureOptions: constants.SSL_OP_NO_TICKET,
        },
        (socket) => socket.on("error", () => {}).end(),
      ),
    );
    expect(await secure(port, { caFile: authority.certPath })).toMatchObject({
      state: "down",
      reason: "connection_reset",
    });
  });

  test("a file that cannot be read tells nothing of the port, and is read again at each look", async () => {
    const caFile = join(folder, "late-ca.crt");
    const look = startProbe(tcp, { host: "127.0.0.1", port: await tlsPort(server), tls: { caFile } });
    expect(await look(soon())).toMatchObject({ state: "unknown", reason: "file_unreadable" });
    copyFileSync(authority.certPath, caFile);
    expect(await look(soon())).toMatchObject({ state: "up" });
  });

  test("a server that neither sends a ticket nor ends what we have ended is up, soon", async () => {
    const { SSL_OP_NO_TICKET } = constants;
    const port = await tlsPort(server, { secureOptions: SSL_OP_NO_TICKET, allowHalfOpen: true });
    const startedMs = performance.now();
    expect(await secure(port, { caFile: authority.certPath })).toMatchObject({ state: "up" });
    expect(performance.now() - startedMs).toBeLessThan(1_500);
  });
});
