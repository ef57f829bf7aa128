import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { type Logger, pino } from "pino";
import { ConfigError, EXIT_CONFIG } from "./config.ts";
import { handOverSignals } from "./early-signals.ts";
import { endProcess } from "./end-process.ts";
import { errorStack, errorText } from "./error-text.ts";
import { printableJson } from "./printable.ts";
import { spareMemory } from "./spare-memory.ts";

/** Ends well within five seconds; Kubernetes and Docker wait longer before they kill. */
const STOP_DEADLINE_MS = 4_500;

/**
 * For the log's last lines. pino writes what is left when the process exits, and where nobody reads it any more tries that
 * for ever, unless it has noticed before.
 */
const LAST_LINES_MS = 50;

export interface Service {
  readonly log: Logger;
  /** Aborted at the first SIGTERM or SIGINT. */
  readonly stopping: AbortSignal;
  /** Registers a release, on the line after the acquire. Releases run in reverse order, each at most once. */
  onStop(release: () => unknown): void;
}

/**
 * Runs `main` until a signal or a failure, then releases what it acquired, in reverse.
 * Exit codes: 0 after a signal, 78 for a configuration error (each problem on a line on stderr), 1 for a bug.
 * A second signal, or a release that takes longer than 4.5 s, ends the process at once.
 */
export async function runService(
  { name, logLevel }: { name: string; logLevel: string | undefined },
  main: (service: Service) => Promise<void>,
): Promise<void> {
  const log = pino({
    name,
    level: isLevel(logLevel) ? logLevel : "info",
    serializers: { err: loggedError },
    hooks: { streamWrite: printableJson },
  });
  const controller = new AbortController();
  const releases: (() => unknown)[] = [];
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) endProcess(1);
      log.info({ signal }, "stopping");
      controller.abort();
    });
  }
  handOverSignals();
  spareMemory();
  let exitCode = 0;
  try {
    const stopped = once(controller.signal, "abort");
    const started = main({
      log,
      stopping: controller.signal,
      onStop: (release) => void releases.push(release),
    });
    await Promise.race([started, stopped]);
    await stopped;
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      exitCode = EXIT_CONFIG;
    } else {
      log.fatal({ err: error }, "service failed");
      exitCode = 1;
    }
  }
  // What waits for the signal must end after a failure as well.
  controller.abort();
  setTimeout(() => {
    log.warn({ deadlineMs: STOP_DEADLINE_MS }, "stop took too long");
    endProcess(exitCode);
  }, STOP_DEADLINE_MS).unref();
  for (const release of releases.toReversed()) {
    try {
      await release();
    } catch (error) {
      log.warn({ err: error }, "release failed");
    }
  }
  await sleep(LAST_LINES_MS);
  // What is left, such as a socket to a host that does not answer, must not keep the process.
  endProcess(exitCode);
}

/** pino's own takes along whatever the error carries, such as the command that Redis refused, with the password in it. */
function loggedError(error: unknown) {
  return { message: errorText(error), stack: errorStack(error) };
}

/** The levels that LOG_LEVEL may name. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

function isLevel(text: string | undefined): text is (typeof LOG_LEVELS)[number] {
  return LOG_LEVELS.some((level) => level === text);
}
