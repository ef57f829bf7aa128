import type { Server } from "node:https";
import type { Logger } from "pino";

/** A certificate and its key, as PEM. */
interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** The files are looked at for a new connection, but not more often. */
const LOOK_EVERY_MS = 500;

/** Whatever NODE_OPTIONS say of older versions. */
export function tlsContext(pair: Pair) {
  return { ...pair, minVersion: "TLSv1.2" } as const;
}

/**
 * Uses what `read` returns for new connections, when it has changed. Two files cannot be replaced in one moment: while they
 * do not belong together the last ones that did are used, with a warning.
 */
export function followRenewals(server: Server, read: () => Pair, log: Logger): void {
  let last = read();
  let lookedAtMs = performance.now();
  // Before the server's own listener, which begins the handshake.
  server.prependListener("connection", () => {
    const nowMs = performance.now();
    if (nowMs - lookedAtMs < LOOK_EVERY_MS) return;
    lookedAtMs = nowMs;
    const pair = read();
    if (pair.cert === last.cert && pair.key === last.key) return;
    last = pair;
    try {
      server.setSecureContext(tlsContext(pair));
      log.info("https certificate renewed");
    } catch {
      log.warn(
        "HTTP_TLS_CERT_PATH, HTTP_TLS_KEY_PATH: do not belong together; the former ones are still used",
      );
    }
  });
}
