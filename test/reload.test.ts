import { renameSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import net from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { decodeHeartbeat, type ReceivedHeartbeat } from "../packages/shared/src/decode.ts";
import { freePorts } from "./brokers/free-ports.ts";
import { heardHeartbeats } from "./heard-heartbeats.ts";
import { freshEnvironment, startBundle, temporaryFile } from "./processes.ts";

/** Two reads of the file, then a look, with room for a busy machine. */
const SOON = { timeout: 15_000, interval: 50 };

async function openPort(): Promise<number> {
  const server = net.createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

test("the publisher takes over a good new file, and a bad one leaves the old one in force", async () => {
  const { amqpUrl, publisher } = await freshEnvironment();
  const heard = await heardHeartbeats(amqpUrl);
  const [httpPort] = await freePorts(1);
  const port = await openPort();
  const hosts = (...names: string[]) =>
    JSON.stringify({ heartbeat: { hosts: names.map((name) => ({ host: "127.0.0.1", port, name })) } });
  const path = temporaryFile("publisher_config.json", hosts("db"));
  const replace = (text: string) => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  const { printed } = startBundle("publisher", {
    ...publisher,
    HTTP_PORT: String(httpPort),
    PUBLISHER_CONFIG_PATH: path,
    PUBLISH_INTERVAL: "1",
  });
  const newest = (): ReceivedHeartbeat => {
    const body = heard.messages.at(-1)?.content ?? Buffer.alloc(0);
    const decoded = decodeHeartbeat(body, Date.now());
    if (!decoded.ok) throw new Error(decoded.problem);
    return decoded.heartbeat;
  };
  const states = () => newest().components.map(({ name, state }) => `${name} ${state}`);
  const isHeard = (...expected: string[]) => vi.waitFor(() => expect(states()).toEqual(expected), SOON);
  const metrics = async () => await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  const isToldAs = (success: number) =>
    vi.waitFor(
      async () =>
        expect(await metrics()).toMatch(new RegExp(`^heartbeat_config_reload_success ${success}$`, "m")),
      SOON,
    );
  const counted = (message: string) => printed().split(`"msg":"${message}"`).length - 1;

  await isHeard("db up");
  await isToldAs(1);
  expect(await metrics()).toMatch(/^heartbeat_broker_connected 1$/m);
  expect(await metrics()).toMatch(/^heartbeat_build_info\{version="\d+\.\d+\.\d+[^"]*"\} 1$/m);
  const { bootId } = newest();

  replace(hosts("db", "doa"));
  await isHeard("db up", "doa up");
  expect(newest().bootId).toBe(bootId);
  expect(printed()).toContain('"added":1,"removed":0,"changed":0');

  replace('{ "heartbeat": { "hosts": [{ "host": "hunter2" }] } }');
  await isToldAs(0);
  const { length } = heard.messages;
  // More than enough for the file to be read again and again.
  await vi.waitFor(() => expect(heard.messages.length).toBeGreaterThan(length + 5), SOON);
  expect(states()).toEqual(["db up", "doa up"]);
  expect(counted("publisher_config.json not reloaded, the one before goes on")).toBe(1);
  expect(printed()).toContain("heartbeat.hosts[0].port");
  expect(printed()).not.toContain("hunter2");

  replace(hosts("doa"));
  await isHeard("doa up");
  await isToldAs(1);
  expect(newest().bootId).toBe(bootId);
  expect(counted("publisher_config.json reloaded")).toBe(2);
  const numbers = heard.messages.map(({ content }) => {
    const decoded = decodeHeartbeat(content, Date.now());
    return decoded.ok ? decoded.heartbeat.sequence : undefined;
  });
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});
