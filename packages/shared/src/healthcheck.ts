import http from "node:http";
import https from "node:https";
import { parseArgs } from "node:util";
import * as z from "zod";
import type { Command } from "./command-line.ts";
import { type Env, parseConfig } from "./config.ts";
import { errorCode } from "./error-code.ts";
import type { httpVariables } from "./http-address.ts";

/** Below the five seconds that the images' check has, so that the reason is still told. */
const ANSWER_WITHIN_MS = 2_500;

/** Where one listens that listens everywhere. */
const LOOPBACK: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/**
 * Asks the service that runs in the same container for its /livez or /readyz: an image without a shell has no other means.
 * Exit code 0 when it answers 200, else 1. Where it serves no HTTP at all nobody can ask: that is no reason to restart it,
 * so 0; but not known to be ready, so 1.
 * @param variables those of the service's own configuration
 * @param isHttps whether it serves HTTPS
 */
export function healthcheckCommand(
  env: Env,
  variables: ReturnType<typeof httpVariables>,
  isHttps = false,
): Command {
  return {
    usage: "[--ready]",
    summary: "asks the running service for its /livez, or /readyz; exit code 0 or 1",
    async run(args) {
      const { values } = parseArgs({ args: [...args], options: { ready: { type: "boolean" } } });
      const path = values.ready ? "/readyz" : "/livez";
      const { HTTP_HOST, HTTP_PORT } = parseConfig(z.object(variables), env, { secrets: [], checks: [] });
      if (HTTP_PORT === 0) return told("HTTP_PORT is 0: there is nobody to ask", values.ready ? 1 : 0);
      const host = LOOPBACK[HTTP_HOST] ?? HTTP_HOST;
      const url = `http${isHttps ? "s" : ""}://${host.includes(":") ? `[${host}]` : host}:${HTTP_PORT}${path}`;
      const answer = await ask(isHttps ? https.get : http.get, { host, port: HTTP_PORT, path });
      return told(`${url}: ${answer}`, answer === 200 ? 0 : 1);
    },
  };
}

function told(line: string, exitCode: number): number {
  process.stdout.write(`${line}\n`);
  return exitCode;
}

/**
 * The status code, or why there is none. The certificate is not looked at: it is for the name by which others ask, what is
 * asked here is no secret, and one that has expired is no reason to restart the service.
 */
async function ask(
  get: typeof http.get | typeof https.get,
  at: http.RequestOptions,
): Promise<number | string> {
  return await new Promise((resolve) => {
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    get({ ...at, agent: false, signal, rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? "no status code");
    }).on("error", (error) =>
      resolve(signal.aborted ? "no answer in time" : (errorCode(error) ?? String(error))),
    );
  });
}
