/** What goes through the pipeline. */
export interface PipelineQueue {
  readonly name: string;
  readonly type: "classic" | "quorum" | "stream";
  /** How the file names its worker: as upstream does it, or as a component of its own. */
  readonly watchedBy: "rmq_consumers" | "consumers";
  /** Messages come to it, or it is empty all the time. */
  readonly isBusy: boolean;
}

export const QUEUES: readonly PipelineQueue[] = [
  { name: "inbox", type: "classic", watchedBy: "rmq_consumers", isBusy: true },
  { name: "archived", type: "quorum", watchedBy: "rmq_consumers", isBusy: true },
  { name: "verified", type: "classic", watchedBy: "consumers", isBusy: true },
  { name: "accession", type: "classic", watchedBy: "consumers", isBusy: true },
  { name: "mappings", type: "quorum", watchedBy: "consumers", isBusy: true },
  { name: "backup", type: "classic", watchedBy: "rmq_consumers", isBusy: false },
  { name: "log", type: "stream", watchedBy: "consumers", isBusy: true },
];

export const DEAD_LETTERS = "dead-letters";
export const SHOVELLED = { name: "outgoing", from: "outgoing", to: "sent" } as const;
export const FEDERATED = {
  upstream: "head-office",
  exchange: "announcements",
  vhost: "head-office",
} as const;

/** The worker of a queue, as it is called in the file and in its tags. */
export function workerOf(queue: string): string {
  return `${queue}-worker`;
}

/** The component that watches how a queue is worked on. */
export function workOn(queue: string): string {
  return `${queue}-work`;
}
