import type { Outage } from "@pipeline-heartbeat/shared/outage.ts";
import type { Probe, Reason } from "../probe.ts";

/** These say that the probe could not ask; nothing about what it asks for. */
const NO_ANSWER: ReadonlySet<Reason | undefined> = new Set<Reason>([
  "timeout",
  "tls_failed",
  "management_unreachable",
  "management_refused",
  "management_failed",
  "statistics_disabled",
]);

/** A probe of the management API that logs its outages: once each, with the cause, however many targets it has. */
export function withOutageLog(probe: Probe, outage: Outage, stopping: AbortSignal): Probe {
  return {
    ...probe,
    async look(signal) {
      const observations = await probe.look(signal);
      const unanswered = observations.find(({ reason }) => NO_ANSWER.has(reason));
      // A look that was cut off by our own stop is no outage.
      if (stopping.aborted) return observations;
      if (unanswered) outage.failed(unanswered.detail ?? String(unanswered.reason));
      else outage.recovered();
      return observations;
    },
  };
}
