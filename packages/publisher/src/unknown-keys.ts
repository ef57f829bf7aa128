import { closest } from "fastest-levenshtein";
import type * as z from "zod";
import { probeKinds } from "./file-schema.ts";
import { type Finding, pathText } from "./finding.ts";
import type { Json } from "./json-text.ts";

const POLICY = ["interval", "timeout", "confirm", "recover", "flapping", "splay", "severity"];

/** By the key of the object or list around them. */
const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  "": ["heartbeat"],
  heartbeat: ["hosts", "rmq_consumers", "defaults", "components"],
  hosts: ["host", "port", "name", ...POLICY, "dependsOn"],
  rmq_consumers: ["queue", "listeners", ...POLICY, "dependsOn"],
  listeners: ["tag", "name", "min", "confirm", "recover", "flapping", "severity", "dependsOn"],
  defaults: POLICY,
  confirm: ["looks", "pause"],
  recover: ["looks"],
  flapping: ["changes", "looks", "calm"],
  tls: ["caFile", "certFile", "keyFile", "serverName"],
};

export interface UnknownKey extends Finding {
  /** Upstream, and so the service, passes it over: it stands in what upstream knows. */
  readonly isPassedOver: boolean;
}

/** The keys of an issue of the strict schema that are none of the file's; empty for another issue. */
export function unknownKeys(json: Json, issue: z.core.$ZodIssue): UnknownKey[] {
  if (issue.code !== "unrecognized_keys") return [];
  const [, section] = issue.path;
  const isPassedOver = section !== "components" && section !== "defaults";
  return issue.keys.map((key) => {
    const path = [...issue.path, key];
    const suggestion = closest(key, knownKeys(json, issue.path));
    const words = suggestion ? `; did you mean '${suggestion}'?` : "";
    return {
      place: json.placeOfKey(path),
      text: `${pathText(path)}: unknown key${isPassedOver ? ", ignored" : ""}${words}`,
      isPassedOver,
    };
  });
}

function knownKeys(json: Json, path: readonly PropertyKey[]): readonly string[] {
  const around = path.findLast((part) => typeof part === "string");
  if (around === "components" && path.length === 3) {
    const kind = probeKinds.get(String(property(valueAt(json.value, path), "probe")));
    return ["name", "probe", ...Object.keys(kind?.options.shape ?? {}), ...POLICY, "dependsOn"];
  }
  return KNOWN_KEYS[around ?? ""] ?? [];
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce(property, value);
}

function property(value: unknown, key: PropertyKey): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}
