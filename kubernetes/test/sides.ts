import { readConfig as readPublisherConfig } from "../../packages/publisher/src/config.ts";
import { readConfig as readSubscriberConfig } from "../../packages/subscriber/src/config.ts";
import { hasKubectl, manifestsInFiles, renderedManifests } from "./manifests.ts";

export type Side = "publisher" | "subscriber";

export interface Source {
  readonly side: Side;
  readonly from: string;
  readonly manifests: readonly unknown[];
}

const SIDES: readonly Side[] = ["publisher", "subscriber"];

/** Each side as it is shipped, and as the examples change it. */
export const sources: readonly Source[] = SIDES.flatMap((side) => [
  { side, from: "its files", manifests: manifestsInFiles(side) },
  ...(hasKubectl
    ? [
        { side, from: "kubectl kustomize", manifests: renderedManifests(side) },
        { side, from: "its example", manifests: renderedManifests(`examples/${side}`) },
      ]
    : []),
]);

/** What the service makes of an environment: where it connects to, where it listens, and what it warns about. */
export function configOf(side: Side, env: Readonly<Record<string, string>>) {
  if (side === "subscriber") {
    const { broker, redis, http, warnings } = readSubscriberConfig(env);
    if (redis.servers.kind !== "server") throw new Error("expected one Redis server");
    return { ports: [broker[0].amqpPort, redis.servers.address.port], http, warnings };
  }
  const { broker, management, targets, http, warnings } = readPublisherConfig(env);
  const hosts = targets.components.flatMap(({ options }) =>
    typeof options.port === "number" ? options.port : [],
  );
  const api = new URL(management(broker[0]).url);
  return { ports: [broker[0].amqpPort, Number(api.port), ...hosts], http, warnings };
}
