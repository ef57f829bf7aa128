import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { describe, expect, test } from "vitest";
import { manifestsInFiles } from "./manifests.ts";
import { modelOf } from "./models.ts";
import { type Firing, firingProblems, hasPromtool, ruleProblems, type Series } from "./promtool.ts";

const rule = manifestsInFiles("components/monitoring")
  .map(modelOf)
  .find((object) => object instanceof PrometheusRule);
const groups = rule?.spec.groups;

const ALWAYS = "1x60";
const NEVER = "0x60";
/** All is well for five minutes. */
const FROM_5 = "0x4 1x55";
const UNTIL_5 = "1x4 0x55";
/** Not served any more from minute 10 on, as Prometheus notes at its next look. */
const GONE_AT_10 = "stale _x50";

/** The series of one metric of the replicas, or of one of them, in the namespace hb. */
function served(
  name: string,
  labels: Readonly<Record<string, string>>,
  values: string,
  pods = ["a", "b"],
): Series {
  const all = Object.entries({ namespace: "hb", job: "heartbeat-subscriber", ...labels });
  const text = (pod: string) =>
    [...all, ["pod", pod]].map(([label, value]) => `${label}="${value}"`).join(",");
  return Object.fromEntries(pods.map((pod) => [`${name}{${text(pod)}}`, values]));
}

/** What every subscriber serves, in order but for what is said. */
function subscribers(
  { up = ALWAYS, broker = ALWAYS, store = ALWAYS, writable = "", healthy = ALWAYS } = {},
  pods?: string[],
): Series {
  return {
    ...served("up", {}, up, pods),
    ...served("heartbeat_broker_connected", {}, broker, pods),
    ...served("heartbeat_store_connected", {}, store, pods),
    ...served("heartbeat_store_writable", {}, writable || store, pods),
    ...served("heartbeat_healthy", {}, healthy, pods),
  };
}

/** A site in a state from minute 5 on, fresh before. */
function site(name: string, state: "fresh" | "silent" | "contested" | "unknown", end = ""): Series {
  const values = (one: string) => {
    if (state === "fresh") return one === "fresh" ? ALWAYS : NEVER;
    const steps = one === "fresh" ? UNTIL_5 : one === state ? FROM_5 : NEVER;
    return end === "" ? steps : `${steps.replace("x55", "x4")} ${end}`.replace("x60", "x9");
  };
  const states = ["fresh", "silent", "contested", "unknown"].map((one) =>
    served("heartbeat_site_state", { site: name, state: one }, values(one)),
  );
  return Object.assign(
    {},
    ...states,
    served("heartbeat_site_fresh_timestamp_seconds", { site: name }, "240x60"),
  );
}

/** That a component only warns. */
function warnOnly(of: string, kind: "service" | "queue", name: string): Series {
  return served("heartbeat_component_warn_only", { site: of, kind, component: name }, ALWAYS);
}

/** A component in a state from minute 5 on, up before. */
function component(
  of: string,
  kind: "service" | "queue",
  name: string,
  state: "up" | "down" | "unknown",
): Series {
  const values = (one: string) => {
    if (state === "up") return one === "up" ? ALWAYS : NEVER;
    return one === "up" ? UNTIL_5 : one === state ? FROM_5 : NEVER;
  };
  const states = ["up", "down", "unknown"].map((one) =>
    served("heartbeat_component_state", { site: of, kind, component: name, state: one }, values(one)),
  );
  return Object.assign({}, ...states);
}

const firing = (alert: string, labels: Readonly<Record<string, string>> = {}): Firing => ({
  alertname: `PipelineHeartbeat${alert}`,
  namespace: "hb",
  ...labels,
});

interface Scenario {
  readonly name: string;
  readonly series: Series;
  readonly fires: readonly Firing[];
  readonly minute?: number;
}

const scenarios: readonly Scenario[] = [
  {
    name: "nothing fires while all is well",
    series: { ...subscribers(), ...site("tsd", "fresh"), ...component("tsd", "service", "db", "up") },
    fires: [],
  },
  {
    name: "a silent site is one alert, whatever the number of replicas and components",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("tsd", "silent"),
      ...component("tsd", "service", "db", "unknown"),
      ...component("tsd", "service", "ingest", "unknown"),
      ...component("tsd", "queue", "inbox", "unknown"),
    },
    fires: [firing("SiteSilent", { site: "tsd" })],
  },
  {
    name: "two silent sites are two alerts, and a fresh one beside them none",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("a", "silent"),
      ...site("b", "silent"),
      ...site("c", "fresh"),
    },
    fires: [firing("SiteSilent", { site: "a" }), firing("SiteSilent", { site: "b" })],
  },
  {
    name: "a site that was never heard, and one with two publishers",
    series: { ...subscribers({ healthy: NEVER }), ...site("a", "unknown"), ...site("b", "contested") },
    fires: [firing("SiteUnknown", { site: "a" }), firing("SiteContested", { site: "b" })],
  },
  {
    name: "a worker that is missing is one alert, with no more for its queues",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("tsd", "fresh"),
      ...component("tsd", "service", "interceptor", "down"),
      ...component("tsd", "queue", "inbox", "down"),
      ...component("tsd", "queue", "completed", "down"),
      ...component("tsd", "queue", "archived", "up"),
    },
    fires: [firing("ServiceDown", { site: "tsd", kind: "service", component: "interceptor" })],
  },
  {
    name: "two services that are down are two alerts",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("tsd", "fresh"),
      ...component("tsd", "service", "db", "down"),
      ...component("tsd", "service", "doa", "down"),
    },
    fires: ["db", "doa"].map((name) =>
      firing("ServiceDown", { site: "tsd", kind: "service", component: name }),
    ),
  },
  {
    name: "a queue without consumers whose listeners cannot be told is one alert",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("tsd", "fresh"),
      ...component("tsd", "queue", "inbox", "down"),
      ...component("tsd", "service", "interceptor", "unknown"),
    },
    fires: [firing("QueueDown", { site: "tsd", kind: "queue", component: "inbox" })],
  },
  {
    name: "components that cannot be looked at are one alert",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("tsd", "fresh"),
      ...component("tsd", "queue", "inbox", "unknown"),
      ...component("tsd", "service", "interceptor", "unknown"),
      ...component("tsd", "service", "db", "up"),
    },
    fires: [firing("ComponentsUnknown", { site: "tsd" })],
  },
  {
    name: "what only warns has no alert, down or unknown",
    series: {
      ...subscribers(),
      ...site("tsd", "fresh"),
      ...component("tsd", "service", "certificate", "down"),
      ...warnOnly("tsd", "service", "certificate"),
      ...component("tsd", "queue", "rejected", "down"),
      ...warnOnly("tsd", "queue", "rejected"),
      ...component("tsd", "service", "mail", "unknown"),
      ...warnOnly("tsd", "service", "mail"),
      ...component("tsd", "service", "db", "up"),
    },
    fires: [],
  },
  {
    name: "nor when /health is not OK for another reason",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("a", "silent"),
      ...site("b", "fresh"),
      ...component("b", "service", "mail", "unknown"),
      ...warnOnly("b", "service", "mail"),
    },
    fires: [firing("SiteSilent", { site: "a" })],
  },
  {
    name: "what only warns and is down hides nothing: a queue of its name is told",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("tsd", "fresh"),
      ...component("tsd", "service", "inbox", "down"),
      ...warnOnly("tsd", "service", "inbox"),
      ...component("tsd", "queue", "inbox", "down"),
    },
    fires: [firing("QueueDown", { site: "tsd", kind: "queue", component: "inbox" })],
  },
  {
    name: "what is hidden behind a component that only warns is told",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("tsd", "fresh"),
      ...component("tsd", "service", "proxy", "down"),
      ...warnOnly("tsd", "service", "proxy"),
      ...component("tsd", "service", "db", "unknown"),
    },
    fires: [firing("ComponentsUnknown", { site: "tsd" })],
  },
  {
    name: "the same component of another site has its alert",
    series: {
      ...subscribers({ healthy: UNTIL_5 }),
      ...site("a", "fresh"),
      ...site("b", "fresh"),
      ...component("a", "service", "db", "down"),
      ...warnOnly("a", "service", "db"),
      ...component("b", "service", "db", "down"),
    },
    fires: [firing("ServiceDown", { site: "b", kind: "service", component: "db" })],
  },
  {
    name: "the broker away is one alert, though every site falls silent with it",
    series: {
      ...subscribers({ broker: UNTIL_5, healthy: UNTIL_5 }),
      ...site("a", "silent"),
      ...site("b", "silent"),
      ...component("a", "service", "db", "unknown"),
    },
    fires: [firing("BrokerDisconnected")],
  },
  {
    name: "Redis away is one alert, without a series of any site",
    series: subscribers({ store: UNTIL_5, healthy: UNTIL_5 }),
    fires: [firing("StoreDisconnected")],
  },
  {
    name: "a Redis that refuses to write is one alert, though every site falls silent with it",
    series: {
      ...subscribers({ writable: UNTIL_5, healthy: UNTIL_5 }, ["a"]),
      ...subscribers({ healthy: UNTIL_5 }, ["b"]),
      ...site("a", "silent"),
      ...site("b", "silent"),
    },
    fires: [firing("StoreRefuses")],
  },
  {
    name: "a site that was silent does not seem well in the moment in which Redis goes",
    series: {
      ...subscribers({ store: "1x9 0x50", healthy: UNTIL_5 }),
      ...site("tsd", "silent", GONE_AT_10),
    },
    minute: 11,
    fires: [firing("SiteSilent", { site: "tsd" }), firing("StoreDisconnected")],
  },
  {
    name: "no site at all is an alert of its own",
    series: subscribers({ healthy: NEVER }),
    fires: [firing("Unhealthy")],
  },
  {
    name: "no site at all is told although a replica is gone",
    series: { ...subscribers({ healthy: NEVER }, ["a"]), ...served("up", {}, NEVER, ["b"]) },
    fires: [firing("SubscriberDegraded"), firing("Unhealthy")],
  },
  {
    name: "components that cannot be looked at are none where that is a warning",
    series: {
      ...subscribers(),
      ...site("tsd", "fresh"),
      ...component("tsd", "service", "interceptor", "unknown"),
    },
    fires: [],
  },
  {
    name: "one replica that cannot read Redis is a warning, as long as the other can",
    series: {
      ...subscribers({}, ["a"]),
      ...subscribers({ store: NEVER, healthy: NEVER }, ["b"]),
      ...site("tsd", "fresh"),
    },
    fires: [firing("SubscriberDegraded")],
  },
  {
    name: "subscribers that do not answer are one alert",
    series: { ...served("up", {}, UNTIL_5) },
    fires: [firing("SubscriberAbsent")],
  },
  {
    name: "subscribers that are not there are one alert",
    series: {},
    fires: [{ alertname: "PipelineHeartbeatSubscriberAbsent" }],
  },
  {
    name: "one replica without the broker is a warning, as long as the other has it",
    series: {
      ...subscribers({}, ["a"]),
      ...subscribers({ broker: NEVER, healthy: NEVER }, ["b"]),
      ...site("tsd", "fresh"),
    },
    fires: [firing("SubscriberDegraded")],
  },
  {
    name: "one replica that does not answer is a warning",
    series: { ...subscribers({}, ["a"]), ...served("up", {}, NEVER, ["b"]), ...site("tsd", "fresh") },
    fires: [firing("SubscriberDegraded")],
  },
];

describe("the alerts", () => {
  test("are told by name", () => {
    const names = groups?.flatMap(({ rules }) => rules?.map(({ alert }) => alert) ?? []);
    const told = scenarios.flatMap(({ fires }) => fires.map(({ alertname }) => alertname));
    expect(new Set(told)).toEqual(new Set(names));
  });

  if (!hasPromtool) return;

  test("are rules that Prometheus takes", () => {
    expect(ruleProblems(groups)).toBe("");
  });

  test.each(scenarios)("$name", ({ series, minute = 40, fires }) => {
    expect(firingProblems(groups, series, minute, fires)).toBe("");
  });
});
