import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Command } from "@pipeline-heartbeat/shared/command-line.ts";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import { readConfig } from "../config.ts";
import { heartbeatMessages } from "../messages.ts";
import { longestTimeoutMs } from "../watch.ts";
import { watchTargets } from "../watch-targets.ts";
import { lookOnce } from "./look-once.ts";

/** So many time-outs, and what has not been looked at by then, as for a very long list of silent hosts, is told as such. */
const MAX_TIMEOUTS = 2;

/**
 * Prints the first heartbeat that the service would send in this environment, and sends nothing. As in the service it
 * is composed after one look: what failed is `unknown`, because it takes a second look to believe it.
 */
export function printHeartbeatCommand(env: Env): Command {
  return {
    usage: "",
    summary: "looks once at everything and prints the bytes that would leave; nothing is sent",
    async run(args) {
      parseArgs({ args: [...args] });
      const config = readConfig(env);
      const { options, stopping, end } = await lookOnce(config, "print-heartbeat");
      const watch = watchTargets(config, { ...options, onChange: () => {} }, stopping);
      const messages = heartbeatMessages({ ...config, targets: watch.targets });
      await Promise.race([watch.firstLook, sleep(MAX_TIMEOUTS * longestTimeoutMs(watch.targets()))]);
      process.stdout.write(messages.message(messages.next("interval")).body);
      end();
      return 0;
    },
  };
}
