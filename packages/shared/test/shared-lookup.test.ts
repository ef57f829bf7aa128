import { once } from "node:events";
import net from "node:net";
import { PerformanceObserver } from "node:perf_hooks";
import { expect, onTestFinished, test, vi } from "vitest";
import { sharedLookup } from "../src/shared-lookup.ts";

function lookUp(host: string): Promise<string> {
  return new Promise((resolve) => {
    sharedLookup(host, { all: true }, (error, addresses) =>
      resolve(error?.code ?? JSON.stringify(addresses)),
    );
  });
}

test.each([
  { host: "localhost", answer: /"address":"(127\.0\.0\.1|::1)"/, observed: 2 },
  // Those that fail are not observed.
  { host: "nobody.invalid", answer: /^E/, observed: 0 },
])("who asks for $host while it is looked up gets the same answer, and later a new one", async (row) => {
  const { host, answer, observed } = row;
  const lookups: object[] = [];
  const observer = new PerformanceObserver((list) => lookups.push(...list.getEntriesByName("lookup")));
  observer.observe({ entryTypes: ["dns"] });
  onTestFinished(() => observer.disconnect());
  const answers = await Promise.all([lookUp(host), lookUp(host), lookUp(host)]);
  expect(answers[0]).toMatch(answer);
  expect(new Set(answers).size).toBe(1);
  expect(await lookUp(host)).toBe(answers[0]);
  await vi.waitFor(() => expect(lookups).toHaveLength(observed));
});

test("sockets connect by it, also at once", async () => {
  const server = net.createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const sockets = [1, 2, 3].map(() => net.connect({ host: "localhost", port, lookup: sharedLookup }));
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  expect(sockets.map(({ remotePort }) => remotePort)).toEqual([port, port, port]);
});
