import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { rootCertificates } from "node:tls";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";
import { onTestFinished } from "vitest";
import { KUBERNETES } from "./manifests.ts";
import type { Model } from "./models.ts";

/** The files of each Secret and ConfigMap that the README has its reader make, by its name. */
const README = readFileSync(join(KUBERNETES, "README.md"), "utf8");
const MAKING = /kubectl create (?:secret generic|configmap) (\S+)((?: --from-file=[\w.-]+)+)/g;
const madeByHand = new Map(
  [...README.matchAll(MAKING)].map(([, name, options]) => [name, options?.split(" --from-file=").slice(1)]),
);

export type Pod = ReturnType<typeof podOf>;

/** The one pod that these objects run. */
export function podOf(objects: readonly Model[]) {
  const deployments = objects.filter((object) => object instanceof Deployment);
  const [deployment] = deployments;
  const spec = deployment?.spec?.template.spec;
  const [container, ...others] = spec?.containers ?? [];
  if (deployments.length !== 1 || !deployment?.spec || !spec || !container || others.length > 0) {
    throw new Error("expected one Deployment with one container");
  }
  const { replicas, strategy, selector, template } = deployment.spec;
  const labels = template.metadata?.labels ?? {};
  const configMaps = objects.filter((object) => object instanceof ConfigMap);
  const dataOf = (name: string | undefined) => configMaps.find((map) => map.metadata?.name === name)?.data;

  const settings = (container.envFrom ?? []).map(
    ({ configMapRef }) => dataOf(configMapRef?.name) ?? missing(),
  );
  const own = (container.env ?? []).map(({ name, value }) => [name, value ?? missing()] as const);
  const env: Readonly<Record<string, string>> = Object.assign({}, ...settings, Object.fromEntries(own));

  /** What is at a path in the pod; undefined when nothing is. */
  function fileAt(path: string): string | undefined {
    const mount = container?.volumeMounts?.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
    const volume = spec?.volumes?.find(({ name }) => name === mount?.name);
    if (!mount || !volume) return undefined;
    const file = path.slice(mount.mountPath.length + 1);
    if (volume.configMap && dataOf(volume.configMap.name)) return dataOf(volume.configMap.name)?.[file];
    const files = madeByHand.get(volume.secret?.secretName ?? volume.configMap?.name);
    if (!files?.includes(file)) return undefined;
    return file.endsWith(".crt") ? rootCertificates[0] : "secret";
  }

  return { replicas, strategy, selector, labels, spec, container, env, fileAt };
}

function missing(): never {
  throw new Error("the environment refers to what is not there, or to something other than a ConfigMap");
}

/** The pod's environment, with paths of temporary files that hold what is mounted at the paths in it. */
export function environmentHere({ env, fileAt }: Pod): Record<string, string> {
  const root = mkdtempSync(join(tmpdir(), "pod-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const here = Object.entries(env).map(([name, value]) => {
    const content = fileAt(value);
    if (content === undefined) return [name, value];
    const path = join(root, value);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return [name, path];
  });
  return Object.fromEntries(here);
}
