import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { createAuthority } from "../../../test/certificates.ts";
import { freshProxy } from "../../../test/fresh-proxy.ts";
import { tlsProxy } from "../../../test/tls-proxy.ts";
import type { BrokerAddresses, BrokerSettings } from "../src/broker-config.ts";
import { connectToLook } from "../src/broker-connection.ts";
import { certificateFile } from "../src/pem-file.ts";
import { freshBroker, startSession, untilConnected } from "./fresh-broker.ts";

/** The wait between two rounds is a second at most, and a busy machine is slow. */
const SOON = { timeout: 4_000, interval: 10 };

/** A vhost of the real broker, and as many addresses of it as are asked for. */
async function freshAddresses() {
  const { settings } = await freshBroker();
  const target = { host: settings.host, port: settings.amqpPort };
  const at = (port: number, host = "127.0.0.1"): BrokerSettings => ({ ...settings, host, amqpPort: port });
  /** One that is refused until it is let through. */
  async function address() {
    const proxy = await freshProxy(target);
    await proxy.set("refuse");
    return { ...proxy, settings: at(proxy.port) };
  }
  return { target, at, address };
}

/** A session with all that it logs: level, words, and the cause or the port. */
function startAt(...addresses: BrokerAddresses) {
  const { broker, lines } = startSession(addresses[0], { settings: addresses }, "info");
  const words = () =>
    lines.map((line): string => {
      const { level, msg, cause, port }: Record<string, string> = JSON.parse(line);
      return `${level} ${msg} ${cause ?? port ?? ""}`.trimEnd();
    });
  const untilAt = async (port: number) =>
    await vi.waitFor(() => {
      expect(broker.connectedAtMs).toBeDefined();
      expect(broker.address.amqpPort).toBe(port);
    }, SOON);
  const confirm = () =>
    broker.publish(Buffer.from("body"), { messageId: "1", timestampMs: 1, expirationMs: 60_000 });
  return { broker, words, untilAt, confirm };
}

/** The port of a server that does this with each connection. */
async function serverThat(answers: (socket: net.Socket) => void, port = 0): Promise<number> {
  const server = net
    .createServer((socket) => answers(socket.on("error", () => {})))
    .listen(port, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

const refused = (port: number) => `nothing listens at 127.0.0.1:${port} (connection refused)`;

test("the first that lets us in is used, and when it goes away the next one at once", async () => {
  const { address } = await freshAddresses();
  const [a, b] = [await address(), await address()];
  await b.set("pass");
  const { broker, words, untilAt, confirm } = startAt(a.settings, b.settings);
  expect(broker.address).toBe(a.settings);
  await untilAt(b.port);
  await confirm();
  expect(words()).toEqual([
    `40 broker unavailable ${refused(a.port)}`,
    "30 broker available again",
    `30 broker connected ${b.port}`,
  ]);

  await a.set("pass");
  await b.set("refuse");
  const lostMs = performance.now();
  await untilAt(a.port);
  expect(performance.now() - lostMs).toBeLessThan(1_000);
  await confirm();
  expect(words().slice(3)).toEqual([
    expect.stringMatching(`^40 broker unavailable 127.0.0.1:${b.port}`),
    "30 broker available again",
    `30 broker connected ${a.port}`,
  ]);
});

test("one that is left on purpose is the next to be tried: it did nothing wrong", async () => {
  const { address } = await freshAddresses();
  const [a, b] = [await address(), await address()];
  await a.set("pass");
  let sessions = 0;
  const { broker, lines } = startSession(a.settings, {
    settings: [a.settings, b.settings],
    async open({ leave }) {
      sessions += 1;
      if (sessions <= 2) leave();
    },
  });
  await vi.waitFor(() => expect(sessions).toBe(3), SOON);
  expect(broker.address).toBe(a.settings);
  expect(lines).toEqual([]);
});

test("while none lets us in it is one outage in which each tells why, once", async () => {
  const { address } = await freshAddresses();
  const [a, b, c] = [await address(), await address(), await address()];
  const { words, untilAt, confirm } = startAt(a.settings, b.settings, c.settings);
  const told = [
    `40 broker unavailable ${refused(a.port)}`,
    `30 broker still unavailable ${refused(b.port)}`,
    `30 broker still unavailable ${refused(c.port)}`,
  ];
  await vi.waitFor(() => expect(words()).toEqual(told), SOON);
  let attempts = 0;
  await serverThat((socket) => {
    attempts += 1;
    socket.destroy();
  }, b.port);
  await vi.waitFor(() => expect(attempts).toBeGreaterThan(2), SOON);
  expect(words().slice(3)).toEqual([
    expect.stringContaining(`30 broker still unavailable 127.0.0.1:${b.port} `),
  ]);
  await c.set("pass");
  await untilAt(c.port);
  await confirm();
  expect(words().slice(4)).toEqual(["30 broker available again", `30 broker connected ${c.port}`]);
});

test("one that says a word now and then, and never enough, keeps us from the next for three seconds", async () => {
  const { address, at } = await freshAddresses();
  const good = await address();
  await good.set("pass");
  const chatterPort = await serverThat((socket) => {
    // The head of a frame of a megabyte, of which there is never an end.
    socket.write(Buffer.from([1, 0, 0, 0, 16, 0, 0]));
    const timer = setInterval(() => socket.write(Buffer.alloc(1)), 200);
    socket.on("close", () => clearInterval(timer));
  });
  const startedMs = performance.now();
  const { words, untilAt } = startAt(at(chatterPort), good.settings);
  const stopped = startAt(at(chatterPort), good.settings);
  await stopped.broker.close();
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  const told = [`40 broker unavailable 127.0.0.1:${chatterPort} does not answer`];
  await vi.waitFor(() => expect(words()).toEqual(told), SOON);
  await untilAt(good.port);
  expect(performance.now() - startedMs).toBeLessThan(5_000);
  expect(stopped.words()).toEqual([]);
});

test("each certificate has to be for the host of its own address", async () => {
  const folder = mkdtempSync(join(tmpdir(), "addresses-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const authority = createAuthority(folder, { name: "site-ca" });
  const { target, at } = await freshAddresses();
  const byName = await tlsProxy(target, authority.issue({ name: "a", altNames: ["DNS:localhost"] }));
  const byAddress = await tlsProxy(target, authority.issue({ name: "b", altNames: ["IP:127.0.0.1"] }));
  const byTls = ({ port }: { port: number }, host: string): BrokerSettings => {
    const ca = certificateFile().parse(authority.certPath);
    return { ...at(port, host), tls: { ca, cert: undefined, key: undefined, serverName: host } };
  };
  const { words, untilAt, confirm } = startAt(
    byTls(byAddress, "localhost"),
    byTls(byName, "localhost"),
    byTls(byAddress, "127.0.0.1"),
  );
  await untilAt(byName.port);
  expect(words()[0]).toContain(
    `the certificate of localhost:${byAddress.port} is not for 'localhost' but for IP Address:127.0.0.1`,
  );
  await confirm();
  byName.reset();
  await untilAt(byAddress.port);
  expect(byName.askedNames).toEqual(["localhost"]);
  expect(byAddress.askedNames.at(-1)).toBeUndefined();
});

test("who only looks takes the first that lets him in, and is told why none does", async () => {
  const { address } = await freshAddresses();
  const [a, b] = [await address(), await address()];
  const nobody = connectToLook([a.settings, b.settings], "test");
  await expect(nobody.openChannel()).rejects.toThrow(`${refused(a.port)}; ${refused(b.port)}`);
  await b.set("pass");
  const looking = connectToLook([a.settings, b.settings], "test");
  onTestFinished(() => looking.close());
  await untilConnected(looking);
  expect(looking.address).toBe(b.settings);
  await (await looking.openChannel()).close();
});
