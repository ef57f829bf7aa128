import type { ConsumeMessage } from "amqplib";
import * as z from "zod";
import type { Told } from "./invariants/events.ts";

/** All that the broker has confirmed to the publishers, and passed on. */
export interface Tapped {
  hear(message: ConsumeMessage): void;
  /** Each message once. */
  readonly told: readonly Told[];
  /** When the newest message of a site that tells of its present was sent, unix milliseconds; 0 before the first. */
  newsAtMs(site: string): number;
  /** How many for each cause. */
  readonly counts: ReadonlyMap<string, number>;
}

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
  const newsAtMs = new Map<string, number>();
  return {
    hear({ content }) {
      const { v2 } = bodySchema.parse(JSON.parse(content.toString()));
      const { cause, ...rest } = v2;
      // The same message again is one that was not confirmed in time.
      const id = `${rest.bootId}/${rest.sequence}/${cause}`;
      if (told.has(id)) return;
      told.set(id, rest);
      const sentAtMs = Date.parse(rest.sentAt);
      if (cause !== "backfill") newsAtMs.set(rest.site, Math.max(newsAtMs.get(rest.site) ?? 0, sentAtMs));
      counts.set(cause, (counts.get(cause) ?? 0) + 1);
    },
    get told() {
      return [...told.values()];
    },
    newsAtMs: (site) => newsAtMs.get(site) ?? 0,
    counts,
  };
}
