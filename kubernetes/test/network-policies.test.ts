import type { INetworkPolicyPeer } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicyPeer";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import { describe, expect, test } from "vitest";
import { type Model, modelOf } from "./models.ts";
import { environmentHere, podOf } from "./pod.ts";
import { configOf, sources } from "./sides.ts";

const DNS = ["53/TCP", "53/UDP"];

describe.each(sources)("the network policies of the $side, from $from", ({ side, manifests }) => {
  const objects = manifests.map(modelOf);
  const { ingress, egress, types, selectors } = policiesOf(objects);

  test("are about its pod and both directions", () => {
    expect(new Set(selectors)).toEqual(
      new Set([`{"matchLabels":{"app.kubernetes.io/name":"heartbeat-${side}"}}`]),
    );
    expect(new Set(types)).toEqual(new Set(["Ingress", "Egress"]));
  });

  test("let it out to name servers and to what its settings name, and nowhere else", () => {
    const { ports } = configOf(side, environmentHere(podOf(objects)));
    const allowed = new Set(egress.flatMap((rule) => rule.ports));
    expect(allowed).toEqual(new Set([...DNS, ...ports.map((port) => `${port}/TCP`)]));
  });

  test("name whom it may reach in every rule", () => {
    for (const { peers } of egress) {
      expect(peers).not.toEqual([]);
      for (const peer of peers) expect([peer, isNarrow(peer)]).toEqual([peer, true]);
    }
  });

  test("let in what asks over HTTP, to the publisher from its own namespace only", () => {
    const { http } = configOf(side, environmentHere(podOf(objects)));
    const peers = side === "publisher" ? [{ podSelector: {} }] : [];
    expect(ingress).toEqual([{ peers, ports: [`${http?.port}/TCP`] }]);
  });
});

/** What all the policies allow together. A rule without ports, or for a range of them, has `every`. */
function policiesOf(objects: readonly Model[]) {
  const specs = objects
    .filter((object) => object instanceof NetworkPolicy)
    .map(({ spec }) => spec ?? { podSelector: {} });
  return {
    selectors: specs.map(({ podSelector }) => JSON.stringify(podSelector)),
    types: specs.flatMap(({ policyTypes = [] }) => policyTypes),
    ingress: specs
      .flatMap(({ ingress = [] }) => ingress)
      .map((rule) => ({ peers: rule.from ?? [], ports: portsOf(rule.ports) })),
    egress: specs
      .flatMap(({ egress = [] }) => egress)
      .map((rule) => ({ peers: rule.to ?? [], ports: portsOf(rule.ports) })),
  };
}

type Ports = readonly { readonly port?: unknown; readonly protocol?: string; readonly endPort?: number }[];

function portsOf(ports: Ports = []): string[] {
  if (ports.length === 0) return ["every"];
  return ports.map(({ port, protocol, endPort }) =>
    port === undefined || endPort !== undefined ? "every" : `${JSON.stringify(port)}/${protocol ?? "TCP"}`,
  );
}

/** Pods with a label, or a network of at most 256 addresses. */
function isNarrow({ podSelector, ipBlock }: INetworkPolicyPeer): boolean {
  const prefix = Number(ipBlock?.cidr.split("/")[1] ?? 0);
  return Object.keys(podSelector?.matchLabels ?? {}).length > 0 || prefix >= 24;
}
