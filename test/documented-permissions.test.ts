import { readFileSync } from "node:fs";
import { connect } from "amqplib";
import { describe, expect, inject, test } from "vitest";
import { limitedUser } from "../packages/shared/test/fresh-broker.ts";
import { expectHealth, freshEnvironment, startBundle, temporaryFile } from "./processes.ts";

const OPERATIONS = readFileSync(new URL("../docs/operations.md", import.meta.url), "utf8");

type Fresh = Awaited<ReturnType<typeof freshEnvironment>>;

describe("the broker's permissions in docs/operations.md are enough with RABBITMQ_DECLARE", () => {
  const names = {
    RABBITMQ_EXCHANGE: "sda",
    RABBITMQ_QUEUE: "heartbeat",
    RABBITMQ_ROUTING_KEY: "sda_heartbeat",
  };

  test.each(["all", "queue", "none"] as const)("%s", async (declare) => {
    const fresh = await freshEnvironment();
    await makeWhatMustBeThere(fresh.amqpUrl, declare);
    const [publisher = {}, subscriber = {}] = documentedPatterns(declare);
    const topology = { ...names, RABBITMQ_DECLARE: declare };
    const inside = startBundle("publisher", {
      ...fresh.publisher,
      ...topology,
      ...(await credentials(fresh, publisher)),
      PUBLISHER_CONFIG_PATH: temporaryFile("publisher_config.json", watchRedis()),
    });
    const outside = startBundle("subscriber", {
      ...fresh.subscriber,
      ...topology,
      ...(await credentials(fresh, subscriber)),
    });
    await expectHealth(fresh.url, 15_000, ({ code }) => expect(code).toBe(200));
    // One may have done what the other was not allowed to.
    expect(inside.printed() + outside.printed()).not.toMatch(/no permission to (create|bind)|ACCESS_REFUSED/);
  });

  async function makeWhatMustBeThere(amqpUrl: string, declare: "all" | "queue" | "none"): Promise<void> {
    const connection = await connect(amqpUrl);
    const channel = await connection.createChannel();
    if (declare !== "all") await channel.assertExchange("sda", "topic");
    if (declare === "none") {
      await channel.assertQueue("heartbeat");
      await channel.bindQueue("heartbeat", "sda", "sda_heartbeat");
    }
    await connection.close();
  }

  /** Of the publisher and of the subscriber. */
  function documentedPatterns(declare: string) {
    const row = OPERATIONS.split("\n").find((line) => line.startsWith(`| \`${declare}\`: `)) ?? "";
    const cells = row.split(/(?<!\\)\|/).filter((cell) => cell.includes("'"));
    expect(cells).toHaveLength(2);
    return cells.map((cell) => {
      const [configure = "", write = "", read = ""] = [
        ...cell.replaceAll("\\|", "|").matchAll(/(?<=')\S+(?=')/g),
      ].map(String);
      return { configure, write, read };
    });
  }

  async function credentials({ publisher }: Fresh, patterns: Parameters<typeof limitedUser>[1]) {
    const { host, amqpPort, user, password } = inject("rabbitmq");
    const vhost = publisher.RABBITMQ_VHOST;
    const { settings } = await limitedUser(
      { host, amqpPort, user, password, vhost, tls: undefined },
      patterns,
    );
    return { RABBITMQ_USER: settings.user, RABBITMQ_PASS: settings.password };
  }

  /** A broker's user without a tag may look at hosts alone. */
  function watchRedis(): string {
    const { host, port } = inject("redis");
    return JSON.stringify({ heartbeat: { hosts: [{ host, port }] } });
  }
});
