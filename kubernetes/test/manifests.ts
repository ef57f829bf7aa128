import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import * as z from "zod";

export const KUBERNETES = fileURLToPath(new URL("..", import.meta.url));

export const hasKubectl = spawnSync("kubectl", ["version", "--client"]).status === 0;
if (!hasKubectl) console.warn("without kubectl only the bases are checked, not the examples");

/** What `kubectl apply -k` would apply. */
export function renderedManifests(folder: string): unknown[] {
  return manifestsOf(
    execFileSync("kubectl", ["kustomize", join(KUBERNETES, folder)], { encoding: "utf8", stdio: "pipe" }),
  );
}

/** All that a kustomization without patches may say: strict, as nothing of it may be passed over unseen. */
const kustomizationSchema = z.strictObject({
  apiVersion: z.enum(["kustomize.config.k8s.io/v1beta1", "kustomize.config.k8s.io/v1alpha1"]),
  kind: z.enum(["Kustomization", "Component"]),
  resources: z.array(z.string()),
  configMapGenerator: z
    .array(
      z.strictObject({
        name: z.string(),
        literals: z.array(z.string().includes("=")).default([]),
        files: z.array(z.string()).default([]),
      }),
    )
    .default([]),
  generatorOptions: z.strictObject({ labels: z.record(z.string(), z.string()) }).optional(),
});

/** The same, read from the files without kubectl, save for the hashes in the names of generated ConfigMaps. */
export function manifestsInFiles(folder: string): unknown[] {
  const read = (name: string) => readFileSync(join(KUBERNETES, folder, name), "utf8");
  const [document] = manifestsOf(read("kustomization.yaml"));
  const { resources, configMapGenerator, generatorOptions } = kustomizationSchema.parse(document);
  const configMaps = configMapGenerator.map(({ name, literals, files }) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, ...generatorOptions },
    data: Object.fromEntries([...literals.map(nameAndValue), ...files.map((file) => [file, read(file)])]),
  }));
  return [...configMaps, ...resources.flatMap((name) => manifestsOf(read(name)))];
}

/** In YAML 1.1, as Kubernetes reads it: there `off` is no text, and 0440 is octal. */
function manifestsOf(yaml: string): unknown[] {
  return parseAllDocuments(yaml, { version: "1.1" }).map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw problem;
    return document.toJS() as unknown;
  });
}

function nameAndValue(literal: string): [string, string] {
  const at = literal.indexOf("=");
  return [literal.slice(0, at), literal.slice(at + 1)];
}
