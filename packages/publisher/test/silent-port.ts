import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { onTestFinished } from "vitest";

/** Listens, tells its port and then does nothing at all any more, not even accept. */
const LISTEN_AND_FREEZE = `
  const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    require("node:fs").writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

/** A port of 127.0.0.1 that never answers: its queue of connections is full and nobody accepts one. */
export async function silentPort(): Promise<number> {
  const child = spawn(process.execPath, ["--eval", LISTEN_AND_FREEZE], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [data]: Buffer[] = await once(child.stdout, "data");
  const port = Number(data?.toString());
  while (await connects(port));
  return port;
}

async function connects(port: number): Promise<boolean> {
  const socket = net.connect({ port, host: "127.0.0.1" });
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {});
  return await once(socket, "connect", { signal: AbortSignal.timeout(200) }).then(
    () => true,
    () => false,
  );
}
