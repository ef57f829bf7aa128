import { once } from "node:events";
import type { Server } from "node:net";
import { onTestFinished } from "vitest";

/** The port of 127.0.0.1 on which a server listens from now on, until the test is finished. */
export async function listeningPort(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}
