import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { isSelf, tcpProbe } from "../src/probes/tcp.ts";
import { startWatch } from "../src/watch.ts";
import { silentPort } from "./silent-port.ts";

/** A port that accepts connections, or that refuses them when `isOpen` is false. */
async function localPort(isOpen: boolean): Promise<number> {
  const server = net.createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (isOpen) onTestFinished(() => void server.close());
  else await once(server.close(), "close");
  return typeof address === "object" && address ? address.port : 0;
}

const soon = () => AbortSignal.timeout(2_000);

test("a port that accepts is up, with the time it took", async () => {
  const probe = tcpProbe({ name: "db", host: "127.0.0.1", port: await localPort(true) });
  const [seen] = await probe.look(soon());
  expect(seen).toMatchObject({ state: "up" });
  expect(seen?.latencyMs).toBeGreaterThanOrEqual(0);
});

test.each(["127.0.0.1", "localhost"])("a port of %s that refuses is down", async (host) => {
  const [seen] = await tcpProbe({ name: "db", host, port: await localPort(false) }).look(soon());
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
  const [seen] = await tcpProbe({ name: "db", host: "does-not-exist.invalid", port: 1 }).look(soon());
  expect(seen).toMatchObject({ state: "down", reason: "host_not_found" });
});

test("a host that never answers is down when the signal says so, not later", async () => {
  const silent = await silentPort();
  const startedMs = performance.now();
  const [seen] = await tcpProbe({ name: "db", host: "127.0.0.1", port: silent }).look(
    AbortSignal.timeout(300),
  );
  expect(seen).toMatchObject({ state: "down", reason: "timeout" });
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

test("200 hosts of which 20 never answer are looked at within the time-out and a second", async () => {
  const timeoutMs = 1_000;
  const ports = { silent: await silentPort(), open: await localPort(true) };
  const probes = Array.from({ length: 200 }, (_, index) => {
    return tcpProbe({
      name: `host-${index}`,
      host: "127.0.0.1",
      port: index % 10 === 0 ? ports.silent : ports.open,
    });
  });
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const startedMs = performance.now();
  const watch = startWatch(
    {
      probes,
      intervalMs: 60_000,
      timeoutMs,
      concurrency: 100,
      now: Date.now,
      sleep: (ms, signal) => sleep(ms, undefined, { signal }),
      log: pino({ level: "silent" }),
      onChange: () => {},
    },
    stopping.signal,
  );
  await watch.firstLook;
  expect(performance.now() - startedMs).toBeLessThan(timeoutMs + 1_000);
  const up = watch.targets().filter(({ belief }) => belief.state === "up");
  expect(up).toHaveLength(180);
  // The second looks at the other 20.
  await vi.waitFor(
    () => expect(watch.targets().filter(({ belief }) => belief.reason === "timeout")).toHaveLength(20),
    { timeout: 5_000 },
  );
});
