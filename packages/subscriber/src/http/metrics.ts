import { Counter, Gauge, Registry } from "prom-client";
import type { RejectionCode } from "../rejection.ts";
import { type SiteVerdict, unknownSites, type Verdict } from "../verdict.ts";

/** What one answer of /metrics is made of. */
export interface Known {
  readonly version: string;
  readonly isBrokerConnected: boolean;
  readonly rejectedCounts: ReadonlyMap<RejectionCode, number>;
  /** Undefined while the state cannot be read. */
  readonly verdict: Verdict | undefined;
  readonly expectedSites: readonly string[];
}

/** `unknown`: never heard, or what was known of it is lost. */
const SITE_STATES = ["fresh", "silent", "contested", "unknown"] as const;
const COMPONENT_STATES = ["up", "down", "unknown"] as const;

const SITE = ["site"] as const;
const COMPONENT = ["site", "kind", "component"] as const;

/**
 * The body of /metrics in Prometheus's text format. Each answer has a registry of its own, so that nothing of an earlier
 * one can be in it. Without a verdict there is no series of a site or a component, rather than an old one.
 */
export async function metricsBody({
  version,
  isBrokerConnected,
  rejectedCounts,
  verdict,
  expectedSites,
}: Known) {
  const registry = new Registry();
  const gauge = gaugesOf(registry);
  gauge("heartbeat_build_info", "Always 1; the version is in the label.", ["version"]).set({ version }, 1);
  gauge("heartbeat_broker_connected", "Whether this subscriber is connected to RabbitMQ.").set(
    Number(isBrokerConnected),
  );
  gauge("heartbeat_store_connected", "Whether the state could be read from Redis for this answer.").set(
    Number(verdict !== undefined),
  );
  gauge("heartbeat_store_writable", "Whether Redis can be read and takes what comes.").set(
    Number(verdict !== undefined && !verdict.isStoreStuck),
  );
  gauge("heartbeat_healthy", "Whether /health answers 200.").set(Number(verdict?.isHealthy ?? false));
  addRejected(registry, rejectedCounts);
  if (verdict) {
    addSites(gauge, verdict.sites, unknownSites(verdict, expectedSites));
    addComponents(gauge, verdict.sites);
  }
  return { contentType: registry.contentType, text: await registry.metrics() };
}

type AddGauge = <Label extends string>(
  name: string,
  help: string,
  labelNames?: readonly Label[],
) => Gauge<Label>;

function gaugesOf(registry: Registry): AddGauge {
  return (name, help, labelNames = []) => new Gauge({ name, help, labelNames, registers: [registry] });
}

/** A series that is there from the start, so that the first refusal is an increase. */
function addRejected(registry: Registry, counts: Known["rejectedCounts"]): void {
  const rejected = new Counter({
    name: "heartbeat_messages_rejected_total",
    help: "Messages that this process quarantined in heartbeat:rejected, by reason.",
    labelNames: ["reason"] as const,
    registers: [registry],
  });
  for (const [reason, count] of counts) rejected.inc({ reason }, count);
}

function addSites(gauge: AddGauge, sites: readonly SiteVerdict[], unknown: readonly string[]): void {
  const states = gauge("heartbeat_site_state", "1 for the state that the site is in, 0 for the others.", [
    ...SITE,
    "state",
  ]);
  const fresh = gauge(
    "heartbeat_site_fresh_timestamp_seconds",
    "The time of the site's last news, by this subscriber's clock.",
    SITE,
  );
  const deadline = gauge(
    "heartbeat_site_deadline_timestamp_seconds",
    "The time after which the site is silent, by this subscriber's clock.",
    SITE,
  );
  const all = [...sites, ...unknown.map((site) => ({ site, state: "unknown" as const }))];
  for (const { site, state } of all) {
    for (const each of SITE_STATES) states.set({ site, state: each }, Number(each === state));
  }
  for (const { site, freshAtMs, deadlineMs } of sites) {
    fresh.set({ site }, freshAtMs / 1000);
    deadline.set({ site }, deadlineMs / 1000);
  }
}

function addComponents(gauge: AddGauge, sites: readonly SiteVerdict[]): void {
  const states = gauge(
    "heartbeat_component_state",
    "1 for the state that the component is in, 0 for the others; unknown in a silent site.",
    [...COMPONENT, "state"],
  );
  const success = gauge("probe_success", "Whether the component is known to be up.", COMPONENT);
  const duration = gauge(
    "probe_duration_seconds",
    "How long the last look took; absent while the state is unknown.",
    COMPONENT,
  );
  const lastChange = gauge(
    "heartbeat_component_last_change_timestamp_seconds",
    "When the component's state began, by the publisher's clock; in a silent site its deadline.",
    COMPONENT,
  );
  const measured = gauge(
    "heartbeat_component_value",
    "What was measured of the component; absent while the state is unknown.",
    [...COMPONENT, "value"],
  );
  const warnOnly = gauge(
    "heartbeat_component_warn_only",
    "1 for each component that never makes /health fail while its site is heard (severity warn).",
    COMPONENT,
  );
  for (const { site, components } of sites) {
    for (const { kind, name: component, state, sinceMs, latencyMs, ...rest } of components) {
      const labels = { site, kind, component };
      for (const each of COMPONENT_STATES) states.set({ ...labels, state: each }, Number(each === state));
      success.set(labels, Number(state === "up"));
      if (latencyMs !== undefined && state !== "unknown") duration.set(labels, latencyMs / 1000);
      lastChange.set(labels, sinceMs / 1000);
      for (const [value, amount] of Object.entries(rest.values ?? {})) {
        measured.set({ ...labels, value }, amount);
      }
      if (rest.severity === "warn") warnOnly.set(labels, 1);
    }
  }
}
