import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import { judgeLinks, type Link } from "./links.ts";
import { managementLook } from "./management-look.ts";
import { pluginAnswer } from "./monitored.ts";
import { text } from "./options.ts";
import { timed } from "./timed.ts";

/** `blocked_status`, and `state` as well, tell from RabbitMQ 3.12 on whether the destination takes messages. */
const shovelsSchema = z.array(
  z.object({
    name: z.string(),
    /** A static shovel, one of the broker's own configuration, has none; administrators see it, nobody else does. */
    vhost: z.string().optional(),
    state: z.string(),
    blocked_status: z.string().optional().catch(undefined),
    reason: z.string().optional().catch(undefined),
  }),
);

export type Shovels = z.output<typeof shovelsSchema>;

/** Up when every named shovel is there and runs. */
export const shovel = probeKind({
  summary: "shovels that run",
  kind: "service",
  asks: "broker",
  options: z.strictObject({
    names: z
      .array(text(), "expected a list")
      .min(1, "is empty")
      .max(100, "has more than 100")
      .describe("their names, of shovels in the broker's vhost or in its own configuration"),
  }),
  values: { shovels_running: "how many of them run" },
  start: ({ names }, { management, broker: { vhost } }) =>
    timed(
      managementLook(async (signal) => {
        // The list of a vhost would be without the static ones, and not tell whether it is the plugin that is missing.
        const path = "shovels?columns=name,vhost,state,blocked_status,reason";
        const plugin = "rabbitmq_shovel_management";
        return judgeShovels(
          names,
          vhost,
          await pluginAnswer(management, path, shovelsSchema, plugin, signal),
        );
      }),
    ),
});

export function judgeShovels(names: readonly string[], vhost: string, listed: Shovels) {
  const ours = listed.filter((shovel) => shovel.vhost === undefined || shovel.vhost === vhost);
  const expected = [...new Set(names)].map((name) => ({
    inWords: `shovel ${name}`,
    links: ours.filter((shovel) => shovel.name === name).map(linkOf),
  }));
  const { observation, running } = judgeLinks(expected);
  return { ...observation, values: { shovels_running: running } };
}

function linkOf({ name, vhost, state, blocked_status, reason }: Shovels[number]): Link {
  return {
    id: JSON.stringify([name, vhost]),
    inWords: vhost === undefined ? `static shovel ${name}` : `shovel ${name}`,
    state: (state === "running" && blocked_status) || state,
    cause: reason,
  };
}
