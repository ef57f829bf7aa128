import { freePorts } from "../test/brokers/free-ports.ts";
import type { WatchedComponent } from "./invariants/health.ts";
import { consumerPart, hostPart, type Part } from "./parts.ts";

export const PUBLISH_INTERVAL_S = 2;
export const PROBE_INTERVAL_S = 0.5;
export const PROBE_TIMEOUT_S = 1;
export const SILENCE_FACTOR = 2.5;
/** RabbitMQ's statistics are so late. */
const STATISTICS_LAG_S = 6;
/** A failure that only statistics show is looked at again after so long. */
const PAUSE_S = 6;
/** What a broker that is being restarted says, or does not, is passed over for so long. */
const RESTART_S = 30;
/** A look that does not listen to its time-out is given up after so much more. */
const OVERTIME_S = 2.5;
/** For a machine that has other things to do. */
const SLACK_S = 2;

/** What a site has told counts for so long, and no longer. */
export const TOLD_FOR_S = SILENCE_FACTOR * PUBLISH_INTERVAL_S + SLACK_S;
const TWO_LOOKS_S = 2 * (PROBE_INTERVAL_S + PROBE_TIMEOUT_S + OVERTIME_S);
const ALLOWED_MS = {
  host: (TOLD_FOR_S + TWO_LOOKS_S) * 1000,
  consumer: (TOLD_FOR_S + TWO_LOOKS_S + STATISTICS_LAG_S + PAUSE_S + RESTART_S) * 1000,
} as const;

/** One service on two queues, as real ones have it: the worst counts. */
const PARTS = {
  north: {
    hosts: ["db", "s3", "keys"],
    workers: { ingest: ["inbox", "archive"], verify: ["verify"] },
  },
  south: { hosts: ["db", "inbox-api"], workers: { mapper: ["mappings"] } },
} as const;

export interface Site {
  readonly site: string;
  readonly parts: readonly Part[];
  readonly components: readonly WatchedComponent[];
  /** What its publisher is to watch. */
  readonly config: object;
}

/** Has no publisher of its own. */
export const LEDGER_SITE = "ledger";

export const SITES = [...Object.keys(PARTS), LEDGER_SITE];

/** All sites that have parts, which are not started. */
export async function makeSites(amqpUrl: string): Promise<Site[]> {
  return await Promise.all(
    Object.entries(PARTS).map(([site, { hosts, workers }]) =>
      makeSite(site, hosts, Object.entries(workers), amqpUrl),
    ),
  );
}

async function makeSite(
  site: string,
  hosts: readonly string[],
  workers: readonly (readonly [string, readonly string[]])[],
  url: string,
) {
  const ports = await freePorts(hosts.length);
  const hostParts = hosts.map((name, index) => hostPart(name, ports[index] ?? 0));
  const consumerParts = workers.flatMap(([name, queues]) =>
    queues.map((queue) => consumerPart(name, `${site}-${queue}`, url)),
  );
  const parts = [...hostParts, ...consumerParts];
  const config = {
    heartbeat: {
      hosts: hostParts.map(({ name, port }) => ({ name, host: "127.0.0.1", port })),
      rmq_consumers: consumerParts.map(({ name, queue }) => ({ queue, listeners: [{ name, tag: name }] })),
    },
  };
  const component = (
    kind: "service" | "queue",
    name: string,
    members: readonly Part[],
  ): WatchedComponent => ({
    site,
    kind,
    name,
    isHost: members[0]?.kind === "host",
    truths: members.map(({ truth }) => truth),
    allowedMs: ALLOWED_MS[members[0]?.kind ?? "consumer"],
  });
  const components = [
    ...[...Map.groupBy(parts, ({ name }) => name)].map(([name, members]) =>
      component("service", name, members),
    ),
    ...consumerParts.map((part) => component("queue", part.queue ?? "", [part])),
  ];
  return { site, parts, config, components };
}
