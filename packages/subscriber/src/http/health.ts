import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import { storeTrouble } from "../store-trouble.ts";
import type { ComponentVerdict, SiteVerdict, Verdict } from "../verdict.ts";

/** The body of /health; all times are ISO 8601 in UTC. */
export function healthBody({ isHealthy, problems, warnings, sites }: Verdict, nowMs: number) {
  return {
    status: isHealthy ? "pass" : "fail",
    checkedAt: time(nowMs),
    problems,
    warnings,
    sites: sites.map(site),
  };
}

/** The body of /health while the state cannot be read. Who asks is told what kind of trouble it is, not its words. */
export function unreadableBody(error: unknown, nowMs: number) {
  return {
    status: "fail",
    checkedAt: time(nowMs),
    problems: [`the state cannot be read from Redis: ${storeTrouble(errorText(error))}`],
    warnings: [],
    sites: [],
  };
}

function site({ site, state, cause, freshAtMs, deadlineMs, intervalMs, components }: SiteVerdict) {
  return {
    site,
    state,
    cause,
    freshAt: time(freshAtMs),
    deadline: time(deadlineMs),
    intervalSeconds: intervalMs / 1000,
    components: components.map(component),
  };
}

function component({ kind, name, state, lastState, sinceMs, observedAtMs, ...rest }: ComponentVerdict) {
  const { severity, probe, reason, because, detail, latencyMs, values } = rest;
  const [since, observedAt] = [time(sinceMs), time(observedAtMs)];
  const seen = { kind, name, state, lastState, since, observedAt };
  return { ...seen, severity, probe, reason, because, detail, latencyMs, values };
}

function time(atMs: number): string {
  return new Date(atMs).toISOString();
}
