import { randomUUID } from "node:crypto";
import { connect } from "amqplib";
import { onTestFinished } from "vitest";
import { encodeHeartbeat, type Heartbeat, type State } from "../packages/shared/src/heartbeat.ts";

const EXCHANGE = "my_topic_exchange";
const QUEUE = "my_queue";
const ROUTING_KEY = "service.heartbeat";

export interface SendOptions {
  readonly states?: Readonly<Record<string, State>>;
  readonly cause?: Heartbeat["cause"];
  /** How far the sender's wall clock is ahead. */
  readonly aheadMs?: number;
  readonly intervalMs?: number;
  readonly format?: 1 | 2;
}

/** A publisher of heartbeats that says what the test wants it to say, one run after another. */
export async function startSender(amqpUrl: string, site: string) {
  const connection = await connect(amqpUrl);
  onTestFinished(() => connection.close());
  const channel = await connection.createConfirmChannel();
  // Whoever comes first makes what is missing.
  await channel.assertExchange(EXCHANGE, "topic", { durable: true });
  await channel.assertQueue(QUEUE, { durable: true });
  await channel.bindQueue(QUEUE, EXCHANGE, ROUTING_KEY);

  function newBoot() {
    const bootId = randomUUID();
    const startedAtMs = Date.now();
    let sequence = 0;
    return async ({
      states = { db: "up" },
      cause = "interval",
      aheadMs = 0,
      intervalMs = 60_000,
      format = 2,
    }: SendOptions = {}) => {
      sequence += 1;
      const sentAtMs = Date.now() + aheadMs;
      const entries = Object.entries(states).map(([name, state]) => ({
        name,
        state,
        observedAtMs: sentAtMs,
      }));
      const heartbeat: Heartbeat = {
        site,
        bootId,
        sequence,
        startedAtMs: startedAtMs + aheadMs,
        sentAtMs,
        uptimeMs: Date.now() - startedAtMs,
        intervalMs,
        cause,
        hosts: entries,
        queues: [],
        services: [],
        components: entries.map((entry) => ({ kind: "service", ...entry })),
      };
      channel.publish(EXCHANGE, ROUTING_KEY, encodeHeartbeat(heartbeat, format));
      await channel.waitForConfirms();
    };
  }

  return { newBoot };
}
