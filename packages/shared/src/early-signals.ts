/**
 * Imported first by main.ts: the first process of a container has no default for signals, so that one which comes while the
 * rest of the program is loaded would be lost, and with it the whole grace period.
 */
const SIGNALS = ["SIGTERM", "SIGINT"] as const;

function endAtOnce(): never {
  process.exit(0);
}

for (const signal of SIGNALS) process.on(signal, endAtOnce);

/** For who listens for them from now on. */
export function handOverSignals(): void {
  for (const signal of SIGNALS) process.off(signal, endAtOnce);
}
