/** What one answer of /metrics is made of. */
export interface Known {
  readonly version: string;
  readonly isBrokerConnected: boolean;
  /** Whether publisher_config.json as it is now is the one in force, and since when, in Unix milliseconds, that one is. */
  readonly isConfigInForce: boolean;
  readonly configLoadedAtMs: number;
}

/** Of Prometheus's text format. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** By hand: four gauges are worth no library's memory. */
export function metricsBody({
  version,
  isBrokerConnected,
  isConfigInForce,
  configLoadedAtMs,
}: Known): string {
  return [
    ...gauge(
      "heartbeat_config_reload_success",
      "Whether publisher_config.json as it is now is the one in force.",
      Number(isConfigInForce),
    ),
    ...gauge(
      "heartbeat_config_reload_success_timestamp_seconds",
      "When the one in force was loaded, in seconds since 1970.",
      configLoadedAtMs / 1000,
    ),
    ...gauge(
      "heartbeat_broker_connected",
      "Whether this publisher is connected to RabbitMQ.",
      Number(isBrokerConnected),
    ),
    ...gauge(
      "heartbeat_build_info",
      "Always 1; the version is in the label.",
      1,
      `{version=${JSON.stringify(version)}}`,
    ),
    "",
  ].join("\n");
}

function gauge(name: string, help: string, value: number, labels = ""): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name}${labels} ${value}`];
}
