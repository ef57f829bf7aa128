import type { Logger } from "pino";

/** Causes of one outage that are told apart in the log; further ones are logged at debug. */
const MAX_CAUSES_LOGGED = 5;

/** Keeps the log readable while something is away: one warning, a line for each further cause, one when it is back. */
export interface Outage {
  readonly isOn: boolean;
  /** `cause` is a short sentence without secrets; the same one again is logged at debug only. */
  failed(cause: string): void;
  recovered(): void;
}

/** @param what the thing, as the log lines name it: "broker", "redis" */
export function outageLog(what: string, log: Logger, now: () => number = Date.now): Outage {
  let sinceMs: number | undefined;
  const causes = new Set<string>();
  return {
    get isOn() {
      return sinceMs !== undefined;
    },
    failed(cause) {
      const isNews = !causes.has(cause) && causes.size < MAX_CAUSES_LOGGED;
      if (sinceMs === undefined) log.warn({ cause }, `${what} unavailable`);
      else log[isNews ? "info" : "debug"]({ cause }, `${what} still unavailable`);
      sinceMs ??= now();
      if (isNews) causes.add(cause);
    },
    recovered() {
      if (sinceMs === undefined) return;
      log.info({ outageMs: now() - sinceMs }, `${what} available again`);
      sinceMs = undefined;
      causes.clear();
    },
  };
}
