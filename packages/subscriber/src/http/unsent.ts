import type { ServerResponse } from "node:http";
import type { FastifyInstance } from "fastify";

/** A dozen answers about a thousand sites. */
const MAX_UNSENT_BYTES = 64 * 1024 * 1024;

/** Bounds what answers fill that their clients do not take: for a new one the oldest of them are given up. */
export function boundUnsent(app: FastifyInstance): void {
  /** In the order in which they were begun. */
  const unsent = new Map<ServerResponse, number>();
  let total = 0;

  function forget(response: ServerResponse): void {
    total -= unsent.get(response) ?? 0;
    unsent.delete(response);
  }

  app.addHook("onSend", async (_request, { raw }, payload) => {
    const bytes = typeof payload === "string" ? Buffer.byteLength(payload) : 0;
    for (const oldest of unsent.keys()) {
      if (total + bytes <= MAX_UNSENT_BYTES) break;
      forget(oldest);
      oldest.destroy();
    }
    unsent.set(raw, bytes);
    total += bytes;
    raw.once("close", () => forget(raw));
  });
}
