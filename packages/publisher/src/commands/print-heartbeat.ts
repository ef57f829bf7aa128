import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Command } from "@pipeline-heartbeat/shared/command-line.ts";
import { connectToLook } from "@pipeline-heartbeat/shared/broker-connection.ts";
import type { Env } from "@pipeline-heartbeat/shared/config.ts";
import { pino } from "pino";
import { readConfig } from "../config.ts";
import { heartbeatMessages } from "../messages.ts";
import { longestTimeoutMs } from "../watch.ts";
import { watchTargets } from "../watch-targets.ts";

const STDERR = 2;
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
      const log = pino(
        { name: "publisher", level: config.logLevel },
        pino.destination({ fd: STDERR, sync: true }),
      );
      for (const warning of config.warnings) log.warn({ warning }, "configuration warning");

      const stopping = new AbortController();
      // Counts of consumers are asked for as the service does it, on a connection of its own.
      const isNeeded = config.consumerSource !== "management" || config.isManagementOfOurBroker;
      const isAsked = config.targets.queues.length > 0 && isNeeded;
      const broker = isAsked ? connectToLook(config.broker, "pipeline-heartbeat print-heartbeat") : undefined;
      const watch = watchTargets(
        config,
        {
          broker,
          log,
          onChange: () => {},
          onStop: (release) => stopping.signal.addEventListener("abort", release),
        },
        stopping.signal,
      );
      const messages = heartbeatMessages({ ...config, targets: watch.targets });
      await Promise.race([watch.firstLook, sleep(MAX_TIMEOUTS * longestTimeoutMs(watch.targets()))]);
      process.stdout.write(messages.message(messages.next("interval")).body);
      stopping.abort();
      void broker?.close(); // the process ends without waiting for it
      return 0;
    },
  };
}
