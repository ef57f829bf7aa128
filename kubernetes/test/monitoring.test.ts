import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { Service } from "kubernetes-models/v1/Service";
import { describe, expect, test } from "vitest";
import { metricsBody } from "../../packages/subscriber/src/http/metrics.ts";
import { verdict } from "../../packages/subscriber/src/verdict.ts";
import { connected } from "../../packages/subscriber/test/heartbeats.ts";
import { KUBERNETES, manifestsInFiles } from "./manifests.ts";
import { modelOf } from "./models.ts";
import { sources } from "./sides.ts";

const nothing = verdict({ records: [], lost: [] }, 0, { expectedSites: [], unknownAs: "fail" }, connected);
const { text: served } = await metricsBody({
  version: "0",
  isBrokerConnected: false,
  rejectedCounts: new Map([["unsigned", 0]]),
  verdict: nothing,
  expectedSites: [],
});
/** What the subscriber serves at /metrics, and what Prometheus itself has. */
const METRICS = new Set(
  [...served.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name).concat("up", "ALERTS"),
);
const LANGUAGE = /^(sum|min|max|count|by|on|and|or|unless|absent)$/;

const objects = [...manifestsInFiles("subscriber"), ...manifestsInFiles("components/monitoring")].map(
  modelOf,
);
const only = <T>([first, ...others]: readonly T[]): T => {
  if (first === undefined || others.length > 0) throw new Error("expected one");
  return first;
};
const service = only(objects.filter((object) => object instanceof Service));
const monitor = only(objects.filter((object) => object instanceof ServiceMonitor));
const rules = only(objects.filter((object) => object instanceof PrometheusRule)).spec.groups?.flatMap(
  (group) => group.rules ?? [],
);
/** The README's table of alerts: how bad each of them is. */
const README = readFileSync(join(KUBERNETES, "README.md"), "utf8");
const told = new Map(
  [...README.matchAll(/^\| ((?:`\w+`(?:, )?)+) +\| (critical|warning) +\|/gm)].flatMap(
    ([, names = "", severity]) =>
      names.split(", ").map((name) => [name.replaceAll("`", ""), severity] as const),
  ),
);

test("the README tells of no alert that there is not", () => {
  const names = rules?.map(({ alert }) => String(alert).replace("PipelineHeartbeat", ""));
  expect(new Set(told.keys())).toEqual(new Set(names));
});

describe("the service monitor", () => {
  test("finds the subscriber's Service and asks its port for /metrics", () => {
    expect(service.metadata?.labels).toMatchObject(monitor.spec.selector.matchLabels ?? { "no label": "" });
    const endpoint = only(monitor.spec.endpoints);
    expect(endpoint).toMatchObject({
      port: service.spec?.ports?.[0]?.name,
      path: "/metrics",
      interval: "30s",
    });
  });

  test("calls it by the name that the rules ask for", () => {
    const job = service.metadata?.labels?.[monitor.spec.jobLabel ?? ""];
    const asked = rules?.flatMap(({ expr }) =>
      [...String(expr).matchAll(/job="([^"]*)"/g)].map(([, name]) => name),
    );
    expect(new Set(asked)).toEqual(new Set([job]));
  });

  test("comes with the component, together with the rules, and not without it", () => {
    for (const { side, from, manifests } of sources) {
      const kinds = new Set(manifests.map((manifest) => modelOf(manifest).kind));
      const isMonitored = side === "subscriber" && from === "its example";
      expect(kinds.has("ServiceMonitor")).toBe(isMonitored);
      expect(kinds.has("PrometheusRule")).toBe(isMonitored);
    }
  });
});

describe.each(rules ?? [])("the alert $alert", ({ alert, expr, labels, annotations, ...rest }) => {
  test("asks only for metrics that there are", () => {
    expect(metricsIn(String(expr)).filter((name) => !METRICS.has(name))).toEqual([]);
    expect(metricsIn(String(expr))).not.toEqual([]);
  });

  test("is one for all replicas, and one for each deployment", () => {
    const outermost = /\bby \(([^)]*)\)/.exec(String(expr))?.[1];
    expect(outermost).toMatch(/^namespace, job(, site(, kind, component)?)?$/);
  });

  test("waits a moment, says how bad it is and what to do", () => {
    expect(rest["for"]).toMatch(/^([125]|10)m$/);
    expect(labels).toEqual({ severity: expect.stringMatching(/^(critical|warning)$/) });
    expect(annotations).toEqual({ summary: expect.any(String), description: expect.any(String) });
    expect(alert).toMatch(/^PipelineHeartbeat[A-Z]/);
  });

  test("is in the README's table, as bad as it is", () => {
    const name = String(alert).replace("PipelineHeartbeat", "");
    expect({ name, severity: told.get(name) }).toEqual({ name, severity: labels?.["severity"] });
  });

  test("outlives its series by five minutes when it asks for those of sites", () => {
    const isOfSites = /heartbeat_(site|component)_/.test(String(expr));
    expect(rest["keep_firing_for"] === "5m").toBe(isOfSites || alert === "PipelineHeartbeatStoreRefuses");
  });
});

/** All words of an expression that are neither language nor labels. */
function metricsIn(expr: string): string[] {
  const bare = expr
    .replaceAll(/"[^"]*"/g, "")
    .replaceAll(/\{[^}]*\}/g, "")
    .replaceAll(/\b(by|on) \([^)]*\)/g, "");
  return [...bare.matchAll(/[A-Za-z_:]\w*/g)].flatMap(([word]) => (LANGUAGE.test(word) ? [] : [word]));
}
