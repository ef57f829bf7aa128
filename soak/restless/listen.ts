import * as z from "zod";
import type { Said } from "./judge.ts";

const heartbeat = z.object({
  v2: z.object({
    components: z.array(
      z.object({
        kind: z.enum(["service", "queue"]),
        name: z.string(),
        state: z.enum(["up", "down", "unknown"]),
        reason: z.string().optional(),
        detail: z.string().optional(),
      }),
    ),
  }),
});

/** What a heartbeat in format 2 says of each component. */
export function saidIn(body: Buffer): Said[] {
  const { v2 } = heartbeat.parse(JSON.parse(body.toString()));
  return v2.components.map(({ kind, name, state, reason, detail }) => ({
    component: `${kind}:${name}`,
    state,
    reason,
    detail,
  }));
}
