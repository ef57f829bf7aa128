import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";
import { Service } from "kubernetes-models/v1/Service";
import * as z from "zod";

/** Every kind that we ship. Another one is a decision, not an accident: a Secret, say, is none of them. */
const MODELS = [
  ConfigMap,
  Deployment,
  NetworkPolicy,
  PodDisruptionBudget,
  PrometheusRule,
  Service,
  ServiceMonitor,
] as const;

export type Model = InstanceType<(typeof MODELS)[number]>;

const manifestSchema = z.looseObject({ apiVersion: z.string(), kind: z.string() });

/**
 * A manifest as what it says it is.
 * @throws with what Kubernetes would refuse: an unknown kind, a field that is missing, of another type, or unknown
 */
export function modelOf(manifest: unknown): Model {
  const { apiVersion, kind, ...fields } = manifestSchema.parse(manifest);
  const Found = MODELS.find((model) => model.apiVersion === apiVersion && model.kind === kind);
  if (!Found) throw new Error(`${apiVersion} ${kind} is not a kind that we ship`);
  const model = Object.assign(new Found(), fields);
  const unread = validatedFields(model);
  if (unread.length > 0) throw new Error(`${kind}: unknown ${unread.join(", ")}`);
  return model;
}

/** Validates, and returns the fields that validating never looked at: the schema does not refuse what it does not know. */
function validatedFields(model: Model): string[] {
  const unread = new Set<string>();
  const watched = watchReads(model, "", unread);
  model.validate.call(watched);
  return [...unread];
}

function watchReads<T extends object>(target: T, path: string, unread: Set<string>): T {
  const children = new Map<PropertyKey, unknown>();
  for (const [key, value] of Object.entries(target)) {
    const childPath = `${path}/${key}`;
    unread.add(childPath);
    const isObject = typeof value === "object" && value !== null;
    children.set(key, isObject ? watchReads(value, childPath, unread) : value);
  }
  return new Proxy(target, {
    get(object, key) {
      unread.delete(`${path}/${String(key)}`);
      return children.has(key) ? children.get(key) : Reflect.get(object, key);
    },
  });
}
