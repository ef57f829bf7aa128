import { setTimeout as sleep } from "node:timers/promises";
import { connectToLook } from "@pipeline-heartbeat/shared/broker-connection.ts";
import { type Logger, pino } from "pino";
import type { Config } from "../config.ts";
import { kindOf } from "../parse-file.ts";
import type { TargetProbesOptions } from "../target-probes.ts";

const STDERR = 2;

export interface LookOnce {
  readonly options: TargetProbesOptions;
  readonly stopping: AbortSignal;
  readonly log: Logger;
  /** Lets go of all that looking has opened; it is closed beside, as the process ends anyway. */
  end(): void;
}

/**
 * What a command needs to look at all that `config.targets` names, as the service does it, with a connection of its own to
 * the broker where one is needed. It logs to stderr.
 */
export async function lookOnce(config: Config, command: string): Promise<LookOnce> {
  const log = pino(
    { name: "publisher", level: config.logLevel },
    pino.destination({ fd: STDERR, sync: true }),
  );
  for (const warning of config.warnings) log.warn({ warning }, "configuration warning");
  const stopping = new AbortController();
  const onStop = (release: () => void) => stopping.signal.addEventListener("abort", release);
  const areCounted = countsByConnection(config);
  const isAsked = config.targets.components.some(({ probe }) => kindOf(probe).asks === "broker");
  const broker =
    areCounted || isAsked ? connectToLook(config.broker, `pipeline-heartbeat ${command}`) : undefined;
  if (broker) onStop(() => void broker.close());
  // Which of several brokers is asked depends on it. Where the consumers are looked for it is waited for there.
  if (broker && isAsked) {
    const opened = broker.openChannel().then(
      (channel) => channel.close(),
      () => {}, // whoever asks is told
    );
    await Promise.race([opened, sleep(config.basePolicy.timeoutMs / 2)]);
  }
  return { options: { broker, log, onStop }, stopping: stopping.signal, log, end: () => stopping.abort() };
}

/** Whether consumers are counted by way of our own connection, or asked for at the broker to which it leads. */
function countsByConnection({ targets, consumerSource, isManagementOfOurBroker }: Config): boolean {
  return targets.queues.length > 0 && (consumerSource !== "management" || isManagementOfOurBroker);
}
