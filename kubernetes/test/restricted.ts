import type { IContainer } from "kubernetes-models/v1/Container";
import type { IPodSpec } from "kubernetes-models/v1/PodSpec";

const VOLUMES = new Set([
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "persistentVolumeClaim",
  "projected",
  "secret",
]);

/**
 * What the restricted level refuses of a pod, baseline included:
 * https://kubernetes.io/docs/concepts/security/pod-security-standards/
 */
export function beyondRestricted(pod: IPodSpec): string[] {
  const refused = (reason: string, isRefused: boolean) => (isRefused ? [reason] : []);
  const { securityContext: context = {} } = pod;
  const containers = [...pod.containers, ...(pod.initContainers ?? [])];
  const kinds = (pod.volumes ?? []).flatMap((volume) => Object.keys(volume).filter((key) => key !== "name"));
  return [
    ...refused("a namespace of the node's", Boolean(pod.hostNetwork || pod.hostPID || pod.hostIPC)),
    ...refused("sysctls", (context.sysctls ?? []).length > 0),
    ...refused("options of SELinux, AppArmor or Windows", hasOptions(context)),
    ...refused("user 0", context.runAsUser === 0 || containers.some(runsAsRoot)),
    ...refused("runAsNonRoot is not true", context.runAsNonRoot !== true),
    ...refused("no seccomp profile", context.seccompProfile?.type !== "RuntimeDefault"),
    ...kinds.filter((kind) => !VOLUMES.has(kind)).map((kind) => `volume ${kind}`),
    ...containers.flatMap(containerBeyondRestricted),
  ];
}

function runsAsRoot({ securityContext }: IContainer): boolean {
  return securityContext?.runAsUser === 0 || securityContext?.runAsNonRoot === false;
}

function hasOptions(context: object): boolean {
  return ["seLinuxOptions", "appArmorProfile", "windowsOptions"].some((name) => name in context);
}

function containerBeyondRestricted({
  name,
  ports = [],
  securityContext: context = {},
}: IContainer): string[] {
  const { drop = [], add = [] } = context.capabilities ?? {};
  const rules = {
    "privilege escalation": context.allowPrivilegeEscalation === false,
    privileges: !context.privileged,
    capabilities: drop.includes("ALL") && add.length === 0,
    "a mount of /proc": context.procMount === undefined,
    "a seccomp profile of its own": context.seccompProfile === undefined,
    "options of SELinux, AppArmor or Windows": !hasOptions(context),
    "a port of the node's": ports.every(({ hostPort }) => hostPort === undefined),
  };
  return Object.entries(rules).flatMap(([rule, isKept]) => (isKept ? [] : [`${name}: ${rule}`]));
}
