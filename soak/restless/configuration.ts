import * as kinds from "../../packages/publisher/src/probe-kinds.ts";
import { DEAD_LETTERS, FEDERATED, QUEUES, SHOVELLED, workerOf, workOn } from "./queues.ts";

/** Where the components are that are looked at. */
export interface Places {
  readonly ports: Readonly<Record<"tcp" | "http" | "tls" | "grpc" | "redis" | "postgres", number>>;
  readonly postgres: { readonly user: string; readonly passwordFile: string; readonly database: string };
  /** PEM, of the authority that has issued the certificates. */
  readonly caFile: string;
  /** On a disk that has some room. */
  readonly folder: string;
  readonly stalledAfterS: number;
}

type Options = Readonly<Record<string, unknown>>;
interface Component extends Options {
  readonly name: string;
  readonly probe: string;
}

export interface Configuration {
  readonly heartbeat: {
    readonly hosts: readonly Options[];
    readonly rmq_consumers: readonly Options[];
    readonly components: readonly Component[];
  };
}

const HOST = "127.0.0.1";
/** More than what may wait after the largest burst. */
const MAX_DEPTH = 20_000;

/** One component of each kind at least. @throws when there is a kind that the soak does not know */
export function configurationOf({ ports, postgres, caFile, folder, stalledAfterS }: Places): Configuration {
  const busy = QUEUES.filter(({ type }) => type !== "stream");
  const streams = QUEUES.filter(({ type }) => type === "stream");
  const byKind: Readonly<Record<string, readonly (Options & { readonly name: string })[]>> = {
    tcp: [
      { name: "inbox-port", host: HOST, port: ports.tcp },
      { name: "vault-port", host: HOST, port: ports.tls, tls: { caFile } },
    ],
    http: [
      {
        name: "download-api",
        url: `http://${HOST}:${ports.http}/health`,
        json: { path: "status", value: "UP" },
      },
      { name: "vault-api", url: `https://${HOST}:${ports.tls}/`, tls: { caFile }, bodyPattern: "^ok$" },
    ],
    tls: [{ name: "vault-certificate", host: HOST, port: ports.tls, tls: { caFile } }],
    grpc: [{ name: "keys", host: HOST, port: ports.grpc }],
    redis: [{ name: "cache", host: HOST, port: ports.redis }],
    postgres: [
      { name: "database", host: HOST, port: ports.postgres, ...postgres },
      { name: "database-greeting", host: HOST, port: ports.postgres, dependsOn: "database" },
    ],
    consumers: QUEUES.filter(({ watchedBy }) => watchedBy === "consumers").map(({ name }) => ({
      name: workerOf(name),
      queue: name,
      tags: [workerOf(name)],
      dependsOn: "broker",
    })),
    queue: [
      ...busy.map(({ name }) => ({
        name: workOn(name),
        queue: name,
        maxDepth: MAX_DEPTH,
        stalledAfter: stalledAfterS,
        dependsOn: "broker",
      })),
      ...streams.map(({ name }) => ({ name: workOn(name), queue: name, dependsOn: "broker" })),
    ],
    deadLetter: [{ name: DEAD_LETTERS, queue: DEAD_LETTERS }],
    shovel: [{ name: "outgoing-shovel", names: [SHOVELLED.name], dependsOn: "broker" }],
    federation: [
      {
        name: "announcements-link",
        upstreams: [FEDERATED.upstream],
        exchange: FEDERATED.exchange,
        dependsOn: "broker",
      },
    ],
    broker: [{ name: "broker" }],
    disk: [{ name: "scratch", path: folder, freeBytes: "1 MB" }],
  };
  const uncovered = Object.keys(kinds).filter((kind) => !Object.hasOwn(byKind, kind));
  if (uncovered.length > 0) throw new Error(`the restless soak has no component of ${uncovered.join(", ")}`);
  return {
    heartbeat: {
      hosts: [{ name: "doa", host: HOST, port: ports.tcp }],
      rmq_consumers: QUEUES.filter(({ watchedBy }) => watchedBy === "rmq_consumers").map(({ name }) => ({
        queue: name,
        listeners: [{ name: workerOf(name), tag: workerOf(name) }],
      })),
      components: Object.entries(byKind).flatMap(([probe, components]) =>
        components.map((options) => ({ ...options, probe })),
      ),
    },
  };
}
