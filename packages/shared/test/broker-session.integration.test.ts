import { expect, onTestFinished, test, vi } from "vitest";
import { dial } from "../src/broker-connection.ts";
import { watchConnection } from "../src/broker-session.ts";
import { CHANNEL_OPEN, CONNECTION_CLOSE, CONSUME, QUEUE_DECLARE } from "./amqp-frames.ts";
import { freshBroker, topology } from "./fresh-broker.ts";
import { swallowingProxy } from "./method-proxies.ts";

const LIMITS = { answerWithinMs: 300, closeWithinMs: 300 };

/** A connection to a broker that says that it is there, and never answers this method. */
async function connectedToMute(method: number) {
  const { settings } = await freshBroker();
  const port = await swallowingProxy({ host: settings.host, port: settings.amqpPort }, method);
  const dialled = await dial(
    { ...settings, host: "127.0.0.1", amqpPort: port },
    "test",
    5_000,
    new AbortController().signal,
  );
  const events = { ended: vi.fn(), blocked: () => {}, unblocked: () => {} };
  const connected = watchConnection(dialled, events, LIMITS);
  onTestFinished(() => connected.close());
  return { connected, events };
}

test.each([
  { what: "a channel", method: CHANNEL_OPEN },
  { what: "a queue", method: QUEUE_DECLARE },
])("a broker that does not answer when asked for $what is given up", async ({ method }) => {
  const { connected, events } = await connectedToMute(method);
  await expect(connected.openSession(topology)).rejects.toThrow("Channel ended");
  expect(String(connected.cause)).toContain("no answer within 0.3 s");
  expect(events.ended).toHaveBeenCalled();
});

test("so is one that does not answer a consumer", async () => {
  const { connected } = await connectedToMute(CONSUME);
  const { session } = await connected.openSession(topology);
  await expect(session.answered(session.channel.consume(topology.queue, () => {}))).rejects.toThrow(
    "Channel ended",
  );
  expect(session.lost.aborted).toBe(true);
});

test("a broker that does not answer a goodbye is not waited for", async () => {
  const { connected, events } = await connectedToMute(CONNECTION_CLOSE);
  const { session } = await connected.openSession(topology);
  session.leave();
  await connected.close();
  expect(session.lost.aborted).toBe(true);
  expect(events.ended).toHaveBeenCalled();
  expect(connected).toMatchObject({ isLeft: true, cause: undefined });
});
