import { writeFileSync } from "node:fs";
import { endProcess } from "./end-process.ts";
import { errorStack } from "./error-text.ts";

/** Linux's core(5): no part of the memory goes into a core file, only which registers and files there were. */
const DUMP_NO_MEMORY = "0";

/**
 * Keeps what the memory holds, secrets among it, out of core files, of Node's diagnostic reports, of the output of an
 * exception that nobody caught, and from a debugger, which Node would open at SIGUSR1 for whoever may connect to
 * 127.0.0.1. Whoever is this user, or root, can read the memory nevertheless.
 */
export function keepMemoryPrivate(): void {
  process.report.excludeEnv = true;
  process.on("SIGUSR1", () => {}); // in the place of Node's own
  process.on("uncaughtException", (error) => {
    // Node would print all that the error carries: Redis's client has the refused command in it, with the password.
    process.stderr.write(`${errorStack(error)}\n`);
    endProcess(1);
  });
  try {
    writeFileSync("/proc/self/coredump_filter", DUMP_NO_MEMORY);
  } catch {
    // No Linux, or one that keeps it from us: there a limit of 0 for core files does it.
  }
}
