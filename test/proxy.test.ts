import { once } from "node:events";
import net from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { freshProxy } from "./fresh-proxy.ts";
import type { ProxyOptions } from "./proxy.ts";

/** A proxy before a server that says everything back. */
async function proxyToEcho(options?: ProxyOptions) {
  const accepted: net.Socket[] = [];
  const heard: string[] = [];
  const echo = net.createServer((socket) => {
    accepted.push(socket.on("error", () => {}));
    socket.on("data", (data) => heard.push(String(data)));
    socket.pipe(socket);
  });
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  onTestFinished(() => void echo.close());
  const address = echo.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return { ...(await freshProxy({ host: "127.0.0.1", port }, options)), accepted, heard };
}

async function connected(port: number): Promise<net.Socket> {
  const socket = net.connect({ host: "127.0.0.1", port });
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** What comes back for it. */
async function answer(socket: net.Socket, text: string): Promise<string> {
  const coming = once(socket, "data");
  socket.write(text);
  const [data]: Buffer[] = await coming;
  return String(data);
}

/** A connection over which something has passed. */
async function talking(port: number): Promise<net.Socket> {
  const socket = await connected(port);
  expect(await answer(socket, "before")).toBe("before");
  return socket;
}

/** Long enough for what could pass to have passed. */
async function whileOthersTalk(): Promise<void> {
  const other = await talking((await proxyToEcho()).port);
  for (let round = 0; round < 10; round += 1) await answer(other, "another");
}

test("what is held passes later, also on a connection that was made meanwhile", async () => {
  const proxy = await proxyToEcho();
  const socket = await talking(proxy.port);
  await proxy.set("hold");
  const held: string[] = [];
  socket.on("data", (data) => held.push(String(data)));
  socket.write("held");
  proxy.accepted[0]?.write("told");
  const late = await connected(proxy.port);
  late.write("late");
  await whileOthersTalk();
  expect(held).toEqual([]);
  expect(proxy.heard).toEqual(["before"]);
  const lateAnswer = once(late, "data");
  await proxy.set("pass");
  expect(String((await lateAnswer)[0])).toBe("late");
  await expect.poll(() => held.join("")).toBe("toldheld");
});

test("while it holds nobody is told of an end or a reset on the other side", async () => {
  const proxy = await proxyToEcho();
  const clients = [await talking(proxy.port), await talking(proxy.port), await talking(proxy.port)] as const;
  await proxy.set("hold");
  // Each end would be answered by an end.
  clients[0].end();
  proxy.accepted[1]?.end();
  clients[2].resetAndDestroy();
  for (const client of clients) client.resume();
  const told = () =>
    [clients[0], clients[1], ...proxy.accepted].map(({ readableEnded, closed }) => readableEnded || closed);
  await whileOthersTalk();
  expect(told()).toEqual([false, false, false, false, false]);
  await proxy.set("pass");
  await expect.poll(told).toEqual([true, true, true, true, true]);
});

test("where it is deaf the server is still heard, and whoever speaks in its place", async () => {
  const proxy = await proxyToEcho();
  const socket = await talking(proxy.port);
  await proxy.set("deaf");
  socket.write("said");
  let heard = "";
  socket.on("data", (data) => (heard += String(data)));
  proxy.accepted[0]?.write("by the server, ");
  await expect.poll(() => heard).toBe("by the server, ");
  proxy.say(Buffer.from("by another, "));
  await expect.poll(() => heard).toBe("by the server, by another, ");
  expect(proxy.heard).toEqual(["before"]);
  await proxy.set("pass");
  await expect.poll(() => heard).toBe("by the server, by another, said");
});

test("where it cuts all connections are ended, new ones at once, and what was held is lost", async () => {
  const proxy = await proxyToEcho();
  const socket = await talking(proxy.port);
  await proxy.set("hold");
  socket.write("held");
  await whileOthersTalk();
  await proxy.set("cut");
  await once(socket.resume(), "close");
  await once((await connected(proxy.port)).resume(), "close");
  await proxy.set("pass");
  expect(await answer(await connected(proxy.port), "again")).toBe("again");
  expect(proxy.heard).toEqual(["before", "again"]);
  expect(proxy.accepted.map(({ destroyed }) => destroyed)).toEqual([true, false]);
});

test("where it refuses nobody listens, until it passes again at the same port", async () => {
  const proxy = await proxyToEcho();
  const socket = await connected(proxy.port);
  const cut = once(socket, "error");
  await proxy.set("refuse");
  await cut;
  await expect(connected(proxy.port)).rejects.toThrow("ECONNREFUSED");
  await proxy.set("pass");
  expect(await answer(await connected(proxy.port), "again")).toBe("again");
});

test("a reset cuts what is connected and nothing else", async () => {
  const proxy = await proxyToEcho();
  const socket = await talking(proxy.port);
  const failed = once(socket, "error");
  proxy.reset();
  expect(String((await failed)[0])).toContain("ECONNRESET");
  expect(await answer(await connected(proxy.port), "again")).toBe("again");
});

test("what is slow is late", async () => {
  const proxy = await proxyToEcho();
  await proxy.set({ slowMs: 50 });
  const beganMs = performance.now();
  expect(await answer(await connected(proxy.port), "slow")).toBe("slow");
  expect(performance.now() - beganMs).toBeGreaterThan(95);
});

test("what the other end takes slowly arrives whole, and no wait leaves anything behind", async () => {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error) => warnings.push(message);
  process.on("warning", onWarning);
  onTestFinished(() => void process.off("warning", onWarning));
  const socket = await connected((await proxyToEcho()).port);
  const much = Buffer.alloc(40_000_000, "much ");
  socket.end(much);
  const pieces: Buffer[] = [];
  for await (const piece of socket) {
    pieces.push(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(Buffer.concat(pieces).equals(much)).toBe(true);
  expect(warnings).toEqual([]);
});

test("it records what clients send, if asked to, by connections in the order in which they began to speak", async () => {
  const [proxy, forgetful] = [await proxyToEcho({ isRecording: true }), await proxyToEcho()];
  const [late, early] = [await connected(proxy.port), await connected(proxy.port)];
  for (const socket of [early, late, early]) await answer(socket, socket === early ? "early " : "late ");
  expect(proxy.sent().map(String)).toEqual(["early early ", "late "]);
  await talking(forgetful.port);
  expect(forgetful.sent()).toEqual([]);
});

test("it is closed while it holds as well", async () => {
  const proxy = await proxyToEcho();
  const socket = await talking(proxy.port);
  const failed = once(socket, "error");
  await proxy.set("hold");
  socket.write("held");
  await proxy.close();
  await failed;
  await expect(connected(proxy.port)).rejects.toThrow("ECONNREFUSED");
  expect(proxy.heard).toEqual(["before"]);
});
