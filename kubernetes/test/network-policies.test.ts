import type { INetworkPolicyPeer } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicyPeer";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import { describe, expect, test } from "vitest";
import { type Model, modelOf } from "./models.ts";
import { environmentHere, podOf } from "./pod.ts";
import { configOf, sources } from "./sides.ts";

interface WayOut {
  readonly peers: readonly INetworkPolicyPeer[];
  readonly ports: readonly string[];
}

const pod = (name: string) => ({ podSelector: { matchLabels: { "app.kubernetes.io/name": name } } });
const namespace = (name: string) => ({
  namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } },
});
const address = (cidr: string) => ({ ipBlock: { cidr } });

const DNS: WayOut = {
  peers: [{ ...namespace("kube-system"), podSelector: { matchLabels: { "k8s-app": "kube-dns" } } }],
  ports: ["53/UDP", "53/TCP"],
};

/** By policy, whom it lets the pod reach at which ports. */
const WAYS_OUT: Readonly<Record<string, Readonly<Record<string, readonly WayOut[]>>>> = {
  "publisher base": {
    "heartbeat-publisher": [DNS],
    "heartbeat-publisher-broker": [{ peers: [pod("rabbitmq")], ports: ["5672/TCP", "15672/TCP"] }],
    "heartbeat-publisher-hosts": [{ peers: [pod("db")], ports: ["5432/TCP"] }],
  },
  "publisher example": {
    "heartbeat-publisher": [DNS],
    "heartbeat-publisher-broker": [{ peers: [address("192.0.2.10/32")], ports: ["5671/TCP", "15671/TCP"] }],
    "heartbeat-publisher-hosts": [
      { peers: [{ ...namespace("sda"), ...pod("doa") }], ports: ["8080/TCP"] },
      { peers: [address("192.0.2.20/32")], ports: ["5432/TCP"] },
    ],
  },
  "subscriber base": {
    "heartbeat-subscriber": [DNS],
    "heartbeat-subscriber-broker": [{ peers: [pod("rabbitmq")], ports: ["5672/TCP"] }],
    "heartbeat-subscriber-redis": [{ peers: [pod("redis")], ports: ["6379/TCP"] }],
  },
  "subscriber example": {
    "heartbeat-subscriber": [DNS],
    "heartbeat-subscriber-broker": [{ peers: [address("192.0.2.10/32")], ports: ["5671/TCP"] }],
    "heartbeat-subscriber-redis": [{ peers: [address("192.0.2.30/32")], ports: ["6379/TCP"] }],
  },
};

describe.each(sources)("the network policies of the $side, from $from", ({ side, from, manifests }) => {
  const objects = manifests.map(modelOf);
  const { ingress, egress, types, selectors } = policiesOf(objects);

  test("are about its pod, one of them closes both directions, and the others open a way out", () => {
    expect(new Set(selectors)).toEqual(
      new Set([`{"matchLabels":{"app.kubernetes.io/name":"heartbeat-${side}"}}`]),
    );
    // Rules for a direction that is not among its policy's types do not count.
    for (const [name, its] of Object.entries(types)) {
      expect([name, its]).toEqual([name, name === `heartbeat-${side}` ? ["Ingress", "Egress"] : ["Egress"]]);
    }
  });

  test("let it out to the ports that its settings name, and to name servers", () => {
    const { ports } = configOf(side, environmentHere(podOf(objects)));
    const allowed = new Set(Object.values(egress).flatMap((rules) => rules.flatMap((rule) => rule.ports)));
    expect(allowed).toEqual(new Set([...DNS.ports, ...ports.map((port) => `${port}/TCP`)]));
  });

  test("let it reach each port at whom it belongs to, and nobody else", () => {
    expect(egress).toEqual(WAYS_OUT[`${side} ${from === "its example" ? "example" : "base"}`]);
  });

  test("let in what asks over HTTP, to the publisher from its own namespace only", () => {
    const { http } = configOf(side, environmentHere(podOf(objects)));
    const peers = side === "publisher" ? [{ podSelector: {} }] : [];
    expect(ingress).toEqual([{ peers, ports: [`${http?.port}/TCP`] }]);
  });
});

/** What all the policies allow together. A rule without ports, or for a range of them, has `every`. */
function policiesOf(objects: readonly Model[]) {
  const policies = objects.filter((object) => object instanceof NetworkPolicy);
  const specs = policies.map(({ spec }) => spec ?? { podSelector: {} });
  return {
    selectors: specs.map(({ podSelector }) => JSON.stringify(podSelector)),
    types: Object.fromEntries(
      policies.map(({ metadata, spec }) => [metadata?.name ?? "", spec?.policyTypes ?? []]),
    ),
    ingress: specs
      .flatMap(({ ingress = [] }) => ingress)
      .map((rule) => ({ peers: rule.from ?? [], ports: portsOf(rule.ports) })),
    egress: Object.fromEntries(
      policies.map(({ metadata, spec }) => [
        metadata?.name ?? "",
        (spec?.egress ?? []).map((rule) => ({ peers: rule.to ?? [], ports: portsOf(rule.ports) })),
      ]),
    ),
  };
}

type Ports = readonly { readonly port?: unknown; readonly protocol?: string; readonly endPort?: number }[];

function portsOf(ports: Ports = []): string[] {
  if (ports.length === 0) return ["every"];
  return ports.map(({ port, protocol, endPort }) =>
    port === undefined || endPort !== undefined ? "every" : `${JSON.stringify(port)}/${protocol ?? "TCP"}`,
  );
}
