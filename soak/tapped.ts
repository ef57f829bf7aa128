import type { ConsumeMessage } from "amqplib";
import * as z from "zod";
import type { Told } from "./invariants/events.ts";

/** All that the broker has confirmed to the publishers, and passed on. */
export interface Tapped {
  hear(message: ConsumeMessage): void;
  /** Each message once. */
  readonly told: readonly Told[];
  /** Whether a message of a site that tells of its present was sent between these times, unix milliseconds. */
  hasNews(site: string, fromMs: number, toMs: number): boolean;
  /** How many for each cause. */
  readonly counts: ReadonlyMap<string, number>;
}

/** A site sends ten in a second at most. */
const MOST_NEWS = 200;

const bodySchema = z.object({
  v2: z.object({
    site: z.string(),
    bootId: z.string(),
    sequence: z.number(),
    sentAt: z.string(),
    cause: z.string(),
    components: z.array(
      z.object({ kind: z.string(), name: z.string(), state: z.string(), since: z.string() }),
    ),
  }),
});

export function tapped(): Tapped {
  const told = new Map<string, Told>();
  const counts = new Map<string, number>();
  /** When the last messages were sent, by site. */
  const newsMs = new Map<string, number[]>();
  return {
    hear({ content }) {
      const { v2 } = bodySchema.parse(JSON.parse(content.toString()));
      const { cause, ...rest } = v2;
      // The same message again is one that was not confirmed in time.
      const id = `${rest.bootId}/${rest.sequence}/${cause}`;
      if (told.has(id)) return;
      told.set(id, rest);
      if (cause !== "backfill") {
        const known = newsMs.get(rest.site) ?? [];
        newsMs.set(rest.site, [...known.slice(-MOST_NEWS), Date.parse(rest.sentAt)]);
      }
      counts.set(cause, (counts.get(cause) ?? 0) + 1);
    },
    get told() {
      return [...told.values()];
    },
    hasNews(site, fromMs, toMs) {
      return newsMs.get(site)?.some((sentAtMs) => fromMs <= sentAtMs && sentAtMs <= toMs) ?? false;
    },
    counts,
  };
}
