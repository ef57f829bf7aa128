import type { Delivery } from "@pipeline-heartbeat/shared/consume.ts";
import type { Logger } from "pino";
import type { Rejected } from "./store.ts";

/** Why messages are refused, for machines; the reason beside it is for people. */
const REJECTION_CODES = [
  "unsigned",
  "unknown_key",
  "bad_signature",
  "wrong_site",
  "replayed",
  "not_a_heartbeat",
  "too_large",
  "too_many_sites",
  "too_many_components",
  "refused_by_redis",
] as const;

export type RejectionCode = (typeof REJECTION_CODES)[number];

const HEAD_BYTES = 500;
/** The same reason is logged once in this time, however many messages have it. */
const LOG_EVERY_MS = 60_000;
/** So many different reasons are logged in that time: some name what the message holds. */
const MAX_LOGGED = 100;
/** So long after the last message of its kind /health tells of it. */
const NEWS_LASTS_MS = 10 * 60_000;

export function rejection(
  code: RejectionCode,
  reason: string,
  { body, receivedAtMs, origin }: Delivery,
): Rejected {
  return { code, reason, receivedAtMs, origin, head: body.subarray(0, HEAD_BYTES).toString() };
}

/** What was refused since the start, by this process. */
export interface Rejections {
  /** Counts and logs what was quarantined. */
  add(rejected: readonly Rejected[]): void;
  /** Every code is there, from the start. */
  counts(): ReadonlyMap<RejectionCode, number>;
  /** A sentence for each kind of refusal of the last ten minutes: what is refused makes its site fall silent. */
  warnings(nowMs: number): string[];
}

export function rejections(log: Logger): Rejections {
  const counted = new Map<RejectionCode, { readonly count: number; readonly lastAtMs: number }>();
  let loggedAtMs = new Map<string, number>();

  function isNews(reason: string, atMs: number): boolean {
    if (atMs - (loggedAtMs.get(reason) ?? -Infinity) < LOG_EVERY_MS) return false;
    if (loggedAtMs.size >= MAX_LOGGED) {
      loggedAtMs = new Map([...loggedAtMs].filter(([, loggedAt]) => atMs - loggedAt < LOG_EVERY_MS));
    }
    if (loggedAtMs.size >= MAX_LOGGED) return false;
    loggedAtMs.set(reason, atMs);
    return true;
  }

  return {
    add(rejected) {
      for (const { code, reason, receivedAtMs, origin } of rejected) {
        counted.set(code, { count: (counted.get(code)?.count ?? 0) + 1, lastAtMs: receivedAtMs });
        const level = isNews(reason, receivedAtMs) ? "warn" : "debug";
        log[level]({ code, reason, origin }, "message quarantined in heartbeat:rejected");
      }
    },
    counts: () => new Map(REJECTION_CODES.map((code) => [code, counted.get(code)?.count ?? 0])),
    warnings(nowMs) {
      return [...counted]
        .filter(([code, { lastAtMs }]) => code !== "replayed" && nowMs - lastAtMs < NEWS_LASTS_MS)
        .map(([code, { count, lastAtMs }]) => {
          const last = new Date(lastAtMs).toISOString();
          const counted = `${count} since this subscriber's start, the last at ${last}`;
          return `messages are refused: ${code}, ${counted}; see heartbeat:rejected in Redis`;
        });
    },
  };
}
