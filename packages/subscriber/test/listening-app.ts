import { once } from "node:events";
import http from "node:http";
import { text } from "node:stream/consumers";
import { pino } from "pino";
import type { AppOptions } from "../src/http/app.ts";
import { verdict } from "../src/verdict.ts";
import { builtApp } from "./built-app.ts";
import { component, connected, heartbeat, receipt, rules } from "./heartbeats.ts";
import { applyHeartbeat } from "../src/apply.ts";

export interface Asked {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** One of 127.0.0.0/8: the address that asks. */
  readonly from?: string;
  readonly agent?: http.Agent;
}

const NOW_MS = Date.UTC(2026, 10, 22, 10, 35, 6);

/** Healthy, with one component of each of these names. */
export function verdictWith(names: readonly string[]) {
  const components = names.map((name) => component({ name, observedAtMs: NOW_MS, sinceMs: NOW_MS }));
  const message = heartbeat({ components, sentAtMs: NOW_MS });
  const { record } = applyHeartbeat(undefined, message, "tsd", receipt(NOW_MS), rules);
  if (!record) throw new Error("not applied");
  const stored = { records: [record], lost: [] };
  return verdict(stored, NOW_MS, { expectedSites: [], unknownAs: "fail" }, connected);
}

/** The HTTP side of a subscriber at a port of its own, with the lines that it logs. */
export async function listeningApp(options: Partial<AppOptions> = {}, host = "127.0.0.1") {
  const lines: string[] = [];
  const app = builtApp({
    currentVerdict: async () => verdictWith(["db"]),
    now: () => NOW_MS,
    log: pino({ level: "info" }, { write: (line: string) => void lines.push(line) }),
    ...options,
  });
  await app.listen({ host, port: 0 });
  const address = app.server.address();
  const port = typeof address === "object" && address ? address.port : 0;

  async function ask({ from, body, ...asked }: Asked = {}) {
    const request = http.request({ host, port, agent: false, ...asked, ...(from && { localAddress: from }) });
    request.end(body);
    const [response]: http.IncomingMessage[] = await once(request, "response");
    if (!response) throw new Error("no response");
    const { statusCode, headers } = response;
    return { statusCode, headers, body: await text(response) };
  }
  return { app, host, port, lines, ask };
}
