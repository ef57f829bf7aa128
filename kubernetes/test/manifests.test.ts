import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { Service } from "kubernetes-models/v1/Service";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import packageJson from "../../package.json" with { type: "json" };
import { hasKubectl, KUBERNETES, manifestsInFiles, renderedManifests } from "./manifests.ts";
import { modelOf } from "./models.ts";
import { environmentHere, podOf } from "./pod.ts";
import { beyondRestricted } from "./restricted.ts";
import { configOf, type Side, sources } from "./sides.ts";

/** A service ends within this time, see STOP_DEADLINE_MS. */
const STOP_DEADLINE_S = 5;
/** Of a Redis that does not answer /readyz is told after two seconds. */
const ANSWERS_WITHIN_S = 2;
/** On a node that has much else to do. */
const STARTS_WITHIN_S = 30;
const README = readFileSync(join(KUBERNETES, "../README.md"), "utf8");

describe.each(sources)("the $side, from $from", ({ side, from, manifests }) => {
  const objects = manifests.map(modelOf);
  const pod = podOf(objects);
  const selector = { "app.kubernetes.io/name": `heartbeat-${side}` };

  test("wears the standard labels everywhere", () => {
    const labels = {
      ...selector,
      "app.kubernetes.io/component": side,
      "app.kubernetes.io/part-of": "pipeline-heartbeat",
    };
    for (const { metadata } of objects) expect(metadata?.labels).toEqual(labels);
    expect(pod.labels).toEqual(labels);
    expect(pod.selector).toEqual({ matchLabels: selector });
  });

  test("goes to the namespace that is asked for", () => {
    const namespace = from === "its example" ? "pipeline-heartbeat" : undefined;
    for (const { metadata } of objects) expect(metadata?.namespace).toBe(namespace);
  });

  test("stays within the restricted level of Pod Security, as the user of its image", () => {
    expect(beyondRestricted(pod.spec)).toEqual([]);
    expect(pod.spec.securityContext).toMatchObject({ runAsUser: 65_532, runAsGroup: 65_532 });
  });

  test("has no token, no service links, a read-only file system and bounds", () => {
    expect(pod.spec).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThan(STOP_DEADLINE_S);
    expect(pod.container.securityContext).toMatchObject({ readOnlyRootFilesystem: true });
    expect(pod.container.resources).toEqual({
      requests: { cpu: expect.stringMatching(/m$/), memory: expect.stringMatching(/Mi$/) },
      limits: { memory: expect.stringMatching(/Mi$/) },
    });
  });

  test("is asked by its probes about itself alone, never about the pipeline's health", () => {
    const { startupProbe, livenessProbe, readinessProbe } = pod.container;
    expect(startupProbe?.httpGet).toEqual({ path: "/livez", port: "http" });
    expect(livenessProbe?.httpGet).toEqual({ path: "/livez", port: "http" });
    expect(readinessProbe?.httpGet).toEqual({ path: "/readyz", port: "http" });
  });

  test("has the time that it needs to start, and to say why it is not ready", () => {
    const { startupProbe, livenessProbe, readinessProbe } = pod.container;
    const { periodSeconds = 10, failureThreshold = 3 } = startupProbe ?? {};
    expect(periodSeconds * failureThreshold).toBeGreaterThanOrEqual(STARTS_WITHIN_S);
    for (const probe of [livenessProbe, readinessProbe]) {
      expect(probe?.timeoutSeconds).toBeGreaterThan(ANSWERS_WITHIN_S);
    }
  });

  test("listens to the kubelet where the probes ask", () => {
    const { http } = configOf(side, environmentHere(pod));
    expect(http).toEqual({ host: "0.0.0.0", port: side === "publisher" ? 8081 : 8080 });
    expect(pod.container.ports).toEqual([{ name: "http", containerPort: http?.port }]);
  });

  test("is given settings that the service knows and takes without a warning", () => {
    expect(Object.keys(pod.env).filter((name) => !knownVariables(side).has(name))).toEqual([]);
    expect(configOf(side, environmentHere(pod)).warnings).toEqual([]);
  });

  test("is given secrets as files that its user, and no other, may read", () => {
    const secrets = pod.spec.volumes?.filter(({ secret }) => secret).map(({ secret }) => secret);
    expect(secrets).toEqual([{ secretName: `heartbeat-${side}`, defaultMode: 0o440 }]);
    expect(pod.spec.securityContext?.fsGroup).toBe(65_532);
    const names = Object.keys(pod.env);
    expect(names.filter((name) => /(PASS|PASSWORD|SIGNING_KEY|TOKEN)$/.test(name))).toEqual([]);
    const passwords = side === "publisher" ? [] : ["REDIS_PASSWORD_FILE"];
    expect(names.filter((name) => name.endsWith("_FILE"))).toEqual(["RABBITMQ_PASS_FILE", ...passwords]);
    for (const mount of pod.container.volumeMounts ?? []) expect(mount.readOnly).toBe(true);
  });

  test("finds each file where it is mounted", () => {
    const paths = Object.entries(pod.env).filter(([name]) => /_(PATH|FILE)$/.test(name));
    for (const [name, path] of paths) expect([name, pod.fileAt(path)]).toEqual([name, expect.any(String)]);
  });

  test("runs the image whose name and place the user sets", () => {
    const registry = from === "its example" ? "registry.example.org/" : "";
    const tag = from === "its example" ? `:${packageJson.version}` : "";
    expect(pod.container.image).toBe(`${registry}pipeline-heartbeat-${side}${tag}`);
    expect(pod.container.imagePullPolicy).toBe("IfNotPresent");
  });

  if (from !== "its files") {
    test("is another pod when a setting or publisher_config.json changes", () => {
      const configMaps = objects.filter(({ kind }) => kind === "ConfigMap");
      const names = configMaps.map(({ metadata }) => metadata?.name?.replace(/-[a-z0-9]{10}$/, "-hash"));
      const own = side === "publisher" ? ["heartbeat-publisher-config-hash"] : [];
      expect(new Set(names)).toEqual(new Set([`heartbeat-${side}-hash`, ...own]));
    });
  }

  test("is asked through a Service that leads to it while it is not ready, too", () => {
    const services = objects.filter((object) => object instanceof Service);
    const port = side === "publisher" ? 8081 : 8080;
    expect(services.map(({ spec }) => spec)).toEqual([
      { selector, publishNotReadyAddresses: true, ports: [{ name: "http", port, targetPort: "http" }] },
    ]);
  });

  if (side === "publisher") {
    test("never runs twice", () => {
      expect(pod).toMatchObject({ replicas: 1, strategy: { type: "Recreate" } });
      expect(objects.filter(({ kind }) => kind === "PodDisruptionBudget")).toEqual([]);
    });
  } else {
    test("always has one that is ready", () => {
      expect(pod).toMatchObject({
        replicas: 2,
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      });
      const budgets = objects.filter((object) => object instanceof PodDisruptionBudget);
      expect(budgets.map(({ spec }) => spec)).toEqual([
        { maxUnavailable: 1, unhealthyPodEvictionPolicy: "AlwaysAllow", selector: { matchLabels: selector } },
      ]);
    });

    test("runs apart where it can, and together rather than not at all", () => {
      const spread = (topologyKey: string) => ({
        topologyKey,
        maxSkew: 1,
        whenUnsatisfiable: "ScheduleAnyway",
        labelSelector: { matchLabels: selector },
        // So that those of before an update do not count.
        matchLabelKeys: ["pod-template-hash"],
      });
      expect(pod.spec.topologySpreadConstraints).toEqual([
        spread("kubernetes.io/hostname"),
        spread("topology.kubernetes.io/zone"),
      ]);
    });
  }
});

if (hasKubectl) {
  test.each(["publisher", "subscriber"])("kubectl makes of the files of the %s what they say", (side) => {
    const withoutHash = (text: string) => text.replaceAll(/("heartbeat-[a-z-]*)-[a-z0-9]{10}"/g, '$1"');
    const sorted = (manifests: readonly unknown[]) =>
      manifests
        .map((manifest) => stringify(manifest, { sortMapEntries: true }))
        .toSorted((a, b) => (a < b ? -1 : 1));
    const rendered: unknown[] = JSON.parse(withoutHash(JSON.stringify(renderedManifests(side))));
    expect(sorted(rendered)).toEqual(sorted(manifestsInFiles(side)));
  });
}

/** The variables in the tables of the README for both services and for this one, and the secrets' files. */
function knownVariables(side: Side): Set<string> {
  const sections = README.split(/^#{2,3} /m).filter((section) =>
    ["Configuration\n", "Both services\n", `${side[0]?.toUpperCase()}${side.slice(1)}\n`].some((title) =>
      section.startsWith(title),
    ),
  );
  expect(sections).toHaveLength(3);
  const rows = sections.join("\n").matchAll(/^\| (`[^|]*`) /gm);
  const names = [...rows].flatMap(([, cell]) => [...(cell ?? "").matchAll(/`([A-Z0-9_]+)`/g)]);
  const files = README.matchAll(/`([A-Z0-9_]+_FILE)`/g);
  return new Set([...names, ...files].flatMap(([, name]) => name ?? []));
}
