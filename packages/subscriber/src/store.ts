import type { Origin } from "@pipeline-heartbeat/shared/consume.ts";
import type { UpstreamKey } from "@pipeline-heartbeat/shared/decode.ts";
import type { StateEvent } from "./events.ts";
import type { Fact } from "./facts.ts";
import type { RejectionCode } from "./rejection.ts";
import type { SiteRecord } from "./site-record.ts";
import type { History } from "./timeline.ts";

/**
 * What is stored of a site and the version under which it was read: a commit counts only when nobody else has committed
 * since. Without a record nothing is known of the site, or what was stored cannot be read.
 */
export interface Stored {
  readonly record: SiteRecord | undefined;
  readonly version: number;
  /** When somebody had the site forgotten, unix milliseconds; what is older does not bring it back. */
  readonly forgottenAtMs: number | undefined;
}

export interface Rejected {
  readonly code: RejectionCode;
  /** In words. */
  readonly reason: string;
  /** Unix milliseconds. */
  readonly receivedAtMs: number;
  readonly origin?: Origin | undefined;
  /** The first bytes of the body. */
  readonly head: string;
}

/** What changes of what was told before. */
export interface Corrections {
  /** Ids of events that turn out to be none. */
  readonly withdrawn: readonly string[];
  /** In place of those that were; undefined when they have not changed. */
  readonly restated: readonly Fact[] | undefined;
}

export interface AllSites {
  readonly records: readonly SiteRecord[];
  /** Sites that are known by name and whose record is lost, as when Redis evicts keys. */
  readonly lost: readonly string[];
}

/** What was to be stored is refused, and would be again. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
}

export type CommitResult = "committed" | "conflict" | "full" | "crowded";

/** What the subscriber needs of its memory. Everything rejects while the store is away, within 2 s. */
export interface Store {
  load(site: string): Promise<Stored>;
  /** What was told of a site's components. It is the one of a record that was loaded before it if that can be committed. */
  loadHistory(site: string): Promise<History>;
  loadAll(): Promise<AllSites>;
  /**
   * Writes a site's record, the reader's keys that follow from it and the events that led to it, all or nothing.
   * `before` is what was loaded: `conflict` when it is not what is stored now, `full` when the site is new and there
   * are too many; `crowded` when there are too many components.
   */
  commit(
    before: Stored,
    record: SiteRecord,
    events: readonly StateEvent[],
    corrections?: Corrections,
  ): Promise<CommitResult>;
  /** The same for events of a site of which nothing else is known. It then is one of the lost ones. */
  commitEvents(
    before: Stored,
    site: string,
    events: readonly StateEvent[],
    corrections: Corrections,
  ): Promise<CommitResult>;
  /**
   * Deletes all that is known of a site, and what the reader is told of it; as `tellUnknownSites` it tells at once of what
   * is unknown then. False when somebody else changed it.
   */
  forget(before: Stored, site: string, nowMs: number, expected: readonly string[]): Promise<boolean>;
  /** Takes back what the reader was told of names that their sites do not report (any more). */
  reconcileReader(): Promise<void>;
  /** Changes with every commit, and when the store has lost its data. */
  generation(): Promise<string | undefined>;
  /** Writes the reader's keys exactly as upstream does, where that is asked for: a plain SET of each entry's key. */
  writeAsUpstream(entries: readonly UpstreamKey[]): Promise<void>;
  /** Sites whose `sweepAtMs` has passed. */
  due(nowMs: number): Promise<string[]>;
  /** Has the reader's keys tell that no site, or an expected site, is unknown; or no longer. */
  tellUnknownSites(expected: readonly string[], nowMs: number): Promise<void>;
  quarantine(rejected: readonly Rejected[]): Promise<void>;
  /** Rejects also when the store answers but would take nothing: full, read-only, still loading. Writes nothing. */
  ping(): Promise<void>;
}
