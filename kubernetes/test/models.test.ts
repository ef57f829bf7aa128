import { describe, expect, test } from "vitest";
import { manifestsInFiles } from "./manifests.ts";
import { modelOf } from "./models.ts";

/** What is checked of all that is shipped must notice these. */
describe("a manifest is refused", () => {
  test.each([
    { kind: "Deployment", at: "spec", typo: "replica", problem: "/spec/replica" },
    {
      kind: "Deployment",
      at: "spec.template.spec.securityContext",
      typo: "runAsNonroot",
      problem: "runAsNonroot",
    },
    {
      kind: "Deployment",
      at: "spec.template.spec.containers.0",
      typo: "readynessProbe",
      problem: "readynessProbe",
    },
    { kind: "Deployment", at: "spec.template.spec.volumes.0.secret", typo: "mode", problem: "secret/mode" },
    { kind: "Service", at: "spec", typo: "publishNotReadyAdresses", problem: "publishNotReadyAdresses" },
    { kind: "NetworkPolicy", at: "spec.egress.0", typo: "from", problem: "egress/0/from" },
    { kind: "PodDisruptionBudget", at: "spec", typo: "maxUnavailabel", problem: "maxUnavailabel" },
    { kind: "ConfigMap", at: "metadata", typo: "label", problem: "/metadata/label" },
    { kind: "ConfigMap", at: "", typo: "datas", problem: "unknown /datas" },
    { kind: "ServiceMonitor", at: "spec.endpoints.0", typo: "intervall", problem: "endpoints/0/intervall" },
    { kind: "PrometheusRule", at: "spec.groups.0.rules.0", typo: "label", problem: "rules/0/label" },
  ])("for an unknown field $typo in $kind $at", ({ kind, at, typo, problem }) => {
    const [manifest, place] = copied(kind, at);
    place[typo] = "text";
    expect(() => modelOf(manifest)).toThrow(problem);
  });

  test.each([
    { kind: "Deployment", at: "spec", field: "replicas", value: "2" },
    { kind: "Deployment", at: "spec.strategy", field: "type", value: "Rolling" },
    { kind: "Deployment", at: "spec.template.spec", field: "containers", value: undefined },
    { kind: "Deployment", at: "spec.template.spec.containers.0.env.0", field: "value", value: 8080 },
    { kind: "ConfigMap", at: "data", field: "EXPECTED_SITES", value: false },
    { kind: "PodDisruptionBudget", at: "spec", field: "unhealthyPodEvictionPolicy", value: "Always" },
    { kind: "PrometheusRule", at: "spec.groups.0.rules.0", field: "for", value: "2 minutes" },
    { kind: "PrometheusRule", at: "spec.groups.0.rules.0", field: "expr", value: undefined },
  ])("for $value as $field in $kind $at", ({ kind, at, field, value }) => {
    const [manifest, place] = copied(kind, at);
    if (value === undefined) Reflect.deleteProperty(place, field);
    else place[field] = value;
    expect(() => modelOf(manifest)).toThrow(field);
  });

  test.each([
    { apiVersion: "v1", kind: "Secret" },
    { apiVersion: "v1", kind: "Deployment" },
    { apiVersion: "apps/v1", kind: "deployment" },
  ])("for a kind that is not shipped: $apiVersion $kind", ({ apiVersion, kind }) => {
    expect(() => modelOf({ apiVersion, kind, metadata: { name: "name" } })).toThrow(
      "is not a kind that we ship",
    );
  });
});

type Fields = Record<string, unknown>;

/** A copy of the first of the subscriber's manifests of this kind, and the place in it. */
function copied(kind: string, at: string): [manifest: Fields, place: Fields] {
  const manifests = [...manifestsInFiles("subscriber"), ...manifestsInFiles("components/monitoring")];
  const manifest = structuredClone(manifests.filter(isFields).find((one) => one["kind"] === kind));
  if (!manifest) throw new Error(`there is no ${kind}`);
  expect(() => modelOf(manifest)).not.toThrow();
  let place = manifest;
  for (const key of at === "" ? [] : at.split(".")) {
    const inner = place[key];
    if (!isFields(inner)) throw new Error(`${kind} has no ${at}`);
    place = inner;
  }
  return [manifest, place];
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}
