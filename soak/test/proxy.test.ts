import { once } from "node:events";
import net from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startProxy } from "../proxy.ts";

/** A proxy before a server that says everything back. */
async function proxyToEcho() {
  const echo = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  const address = echo.address();
  const proxy = await startProxy({
    host: "127.0.0.1",
    port: typeof address === "object" && address ? address.port : 0,
  });
  onTestFinished(async () => {
    await proxy.close();
    echo.close();
  });
  return proxy;
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

test("what is held passes later, also on a connection that was made meanwhile", async () => {
  const proxy = await proxyToEcho();
  const socket = await connected(proxy.port);
  expect(await answer(socket, "before")).toBe("before");
  await proxy.set("hold");
  const held: string[] = [];
  socket.on("data", (data) => held.push(String(data)));
  socket.write("held");
  const late = await connected(proxy.port);
  late.write("late");
  await new Promise((resolve) => setImmediate(resolve));
  expect(held).toEqual([]);
  const lateAnswer = once(late, "data");
  await proxy.set("pass");
  expect(String((await lateAnswer)[0])).toBe("late");
  await expect.poll(() => held.join("")).toBe("held");
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
  const socket = await connected(proxy.port);
  expect(await answer(socket, "before")).toBe("before");
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
