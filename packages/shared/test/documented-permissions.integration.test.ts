import { readFileSync } from "node:fs";
import type { Channel } from "amqplib";
import { describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { freshBroker, limitedUser, startConsuming, startSession, untilConnected } from "./fresh-broker.ts";
import type { BrokerSettings } from "../src/broker-config.ts";
import type { Topology } from "../src/topology.ts";

const OPERATIONS = readFileSync(new URL("../../../docs/operations.md", import.meta.url), "utf8");
const properties = { messageId: "boot/1", timestampMs: 1_795_000_000_123, expirationMs: 600_000 };
/** As in the examples of the docs. */
const names = { exchange: "sda", queue: "heartbeat", routingKey: "sda_heartbeat" };

type Part = "configure" | "write" | "read";
const PARTS: readonly Part[] = ["configure", "write", "read"];
type Permissions = Readonly<Record<Part, string>>;

/** Of `'^$' '^sda$' '^$'`, as it stands in a table, where a bar is escaped. */
function permissionsIn(text: string): Permissions {
  const [configure, write, read, ...more] = [...text.replaceAll("\\|", "|").matchAll(/'([^']*)'/g)].map(
    ([, pattern]) => pattern,
  );
  if (configure === undefined || write === undefined || read === undefined || more.length > 0)
    throw new Error(`expected three patterns: ${text}`);
  return { configure, write, read };
}

const declares = z.enum(["all", "queue", "none"]);
const rows = [...OPERATIONS.matchAll(/^\| `(all|queue|none)`: .*? \| `('.*')` +\| `('.*')` +\|$/gm)].flatMap(
  ([, name, publisher = "", subscriber = ""]) => {
    const declare = declares.parse(name);
    return [
      { declare, end: "publisher", permissions: permissionsIn(publisher) },
      { declare, end: "subscriber", permissions: permissionsIn(subscriber) },
    ] as const;
  },
);

/** A vhost with what is there before anybody declares anything. */
async function brokerFor(declare: Topology["declare"]) {
  const { settings, channel } = await freshBroker();
  if (declare !== "all") await channel.assertExchange(names.exchange, "topic");
  if (declare === "none") {
    await channel.assertQueue(names.queue);
    await channel.bindQueue(names.queue, names.exchange, names.routingKey);
  }
  return { settings, channel };
}

test("the docs have permissions for each RABBITMQ_DECLARE and either side, and the commands for the last", () => {
  expect(rows.map(({ declare, end }) => `${declare} ${end}`)).toEqual(
    declares.options.flatMap((declare) => [`${declare} publisher`, `${declare} subscriber`]),
  );
  const commands = [...OPERATIONS.matchAll(/^rabbitmqctl set_permissions -p test hb-(?:pub|sub) (.*?) +#/gm)];
  expect(commands.map(([, text = ""]) => permissionsIn(text))).toEqual(
    rows.slice(-2).map(({ permissions }) => permissions),
  );
});

describe.each(rows)(
  "to the $end, with RABBITMQ_DECLARE=$declare, the docs give",
  ({ declare, end, permissions }) => {
    const topology: Topology = { ...names, declare, end };

    test("all permissions that it takes", async () => {
      const { settings, channel } = await brokerFor(declare);
      const { settings: limited } = await limitedUser(settings, permissions);
      const lines =
        end === "subscriber"
          ? await heardBy(limited, topology, channel)
          : await saidBy(limited, topology, channel);
      expect(lines.join("\n")).not.toContain("broker unavailable");
    });

    test.each(PARTS.filter((part) => permissions[part] !== "^$"))("nothing to %s in vain", async (part) => {
      const { settings } = await brokerFor(declare);
      const { settings: limited } = await limitedUser(settings, { ...permissions, [part]: "^$" });
      const { lines } =
        end === "subscriber" ? startConsuming(limited, undefined, topology) : startSaying(limited, topology);
      await vi.waitFor(() => expect(lines).not.toEqual([]), { timeout: 10_000 });
    });
  },
);

/** Consumes a message that somebody else publishes. Returns what was logged. */
async function heardBy(settings: BrokerSettings, topology: Topology, channel: Channel): Promise<string[]> {
  const { broker, lines, bodies } = startConsuming(settings, undefined, topology);
  await untilConnected(broker);
  channel.publish(names.exchange, names.routingKey, Buffer.from("heard"));
  await vi.waitFor(() => expect(bodies).toEqual(["heard"]), { timeout: 10_000 });
  return lines;
}

/** Publishes a message that somebody else finds in the queue. Returns what was logged. */
async function saidBy(settings: BrokerSettings, topology: Topology, channel: Channel): Promise<string[]> {
  const { broker, lines } = startSession(settings, { topology });
  await untilConnected(broker);
  await broker.publish(Buffer.from("said"), properties);
  expect(await channel.get(names.queue)).toMatchObject({ content: Buffer.from("said") });
  return lines;
}

/** Tries to publish after each connect. */
function startSaying(settings: BrokerSettings, topology: Topology) {
  const publish = () => void session.broker.publish(Buffer.from("said"), properties).catch(() => {}); // told by the session
  const open = async () => void setImmediate(publish);
  const session: ReturnType<typeof startSession> = startSession(settings, { topology, open });
  return session;
}
