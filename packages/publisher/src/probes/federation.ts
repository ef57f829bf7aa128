import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import { type ExpectedLinks, judgeLinks, type Link } from "./links.ts";
import { managementLook } from "./management-look.ts";
import { pluginAnswer } from "./monitored.ts";
import { text } from "./options.ts";
import { timed } from "./timed.ts";

const federationSchema = z.array(
  z.object({
    upstream: z.string(),
    vhost: z.string(),
    status: z.string(),
    /** Of an exchange these two, of a queue the next two. */
    exchange: z.string().optional(),
    upstream_exchange: z.string().optional(),
    queue: z.string().optional(),
    upstream_queue: z.string().optional(),
    error: z.string().optional().catch(undefined),
  }),
);

export type FederationLinks = z.output<typeof federationSchema>;

const options = z.strictObject({
  upstreams: z
    .array(text(), "expected a list")
    .min(1, "is empty")
    .max(100, "has more than 100")
    .describe("the names of upstreams in the broker's vhost, all links of which should run"),
  exchange: text().optional().describe("only their links to this exchange (all exchanges and queues)"),
  queue: text().optional().describe("only their links to this queue (all exchanges and queues)"),
});

type Options = z.output<typeof options>;

/** Up when every named upstream has a link, and all its links run. */
export const federation = probeKind({
  summary: "links of federation that run",
  kind: "service",
  asks: "broker",
  options,
  values: { links_running: "how many of the upstreams' links run" },
  start: (options, { management, broker: { vhost } }) =>
    timed(
      managementLook(async (signal) => {
        const columns = Object.keys(federationSchema.element.shape).join(",");
        const path = `federation-links?columns=${columns}`;
        const plugin = "rabbitmq_federation_management";
        const listed = await pluginAnswer(management, path, federationSchema, plugin, signal);
        return judgeFederation(options, vhost, listed);
      }),
    ),
});

export function judgeFederation(options: Options, vhost: string, listed: FederationLinks) {
  const ours = listed.filter((link) => link.vhost === vhost);
  const { observation, running } = judgeLinks(
    [...new Set(options.upstreams)].flatMap((upstream) => {
      return expectedOf(
        upstream,
        options,
        ours.filter((link) => link.upstream === upstream),
      );
    }),
  );
  return { ...observation, values: { links_running: running } };
}

/** An upstream has a link for each exchange and each queue that a policy federates: with none, no policy does. */
function expectedOf(
  upstream: string,
  { exchange, queue }: Options,
  listed: FederationLinks,
): ExpectedLinks[] {
  if (exchange === undefined && queue === undefined) {
    return [{ inWords: `link from ${upstream}`, links: listed.map(linkOf) }];
  }
  const links = (isWanted: (link: FederationLinks[number]) => boolean) => listed.filter(isWanted).map(linkOf);
  const ofExchange = {
    inWords: `link from ${upstream} to the exchange ${exchange}`,
    links: links((link) => link.exchange === exchange),
  };
  const ofQueue = {
    inWords: `link from ${upstream} to the queue ${queue}`,
    links: links((link) => link.queue === queue),
  };
  return [...(exchange === undefined ? [] : [ofExchange]), ...(queue === undefined ? [] : [ofQueue])];
}

function linkOf(link: FederationLinks[number]): Link {
  const { upstream, exchange, upstream_exchange, queue, upstream_queue, status, error } = link;
  const to = queue === undefined ? `the exchange ${exchange ?? "(unknown)"}` : `the queue ${queue}`;
  return {
    id: JSON.stringify([upstream, exchange, upstream_exchange, queue, upstream_queue]),
    inWords: `link from ${upstream} to ${to}`,
    state: status,
    cause: error,
  };
}
