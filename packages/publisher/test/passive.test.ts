import { expect, test } from "vitest";
import { passiveCounts, type QueueChannel } from "../src/probes/passive.ts";

const soon = () => AbortSignal.timeout(5_000);
const names = (count: number) => Array.from({ length: count }, (_, index) => `queue-${index}`);

/** What RabbitMQ's refusals look like in amqplib: a code, and a text that holds the broker's own words. */
function refusal(code: number, words: string): Error {
  return Object.assign(new Error(`Operation failed: QueueDeclare; ${code} with message "${words}"`), {
    code,
  });
}

/** Channels of a broker that answers as told; what a real one answers is in the integration test. */
function scriptedBroker(answer: (queue: string) => Promise<number>) {
  const channels = { open: 0, most: 0, opened: 0 };
  async function openChannel(): Promise<QueueChannel> {
    let isOpen = true;
    const close = async () => {
      if (!isOpen) return;
      isOpen = false;
      channels.open -= 1;
    };
    channels.opened += 1;
    channels.open += 1;
    channels.most = Math.max(channels.most, channels.open);
    const checkQueue = async (queue: string) => {
      if (!isOpen) throw new Error("Channel closed");
      try {
        return { consumerCount: await answer(queue) };
      } catch (error) {
        await close();
        throw error;
      }
    };
    return { close, checkQueue };
  }
  return { channels, openChannel };
}

test("thousands of queues are asked for on a few channels, which are closed afterwards", async () => {
  const { channels, openChannel } = scriptedBroker(async (queue) => queue.length);
  const counted = await passiveCounts(openChannel)(names(3_000), soon());
  expect(counted.size).toBe(3_000);
  expect(counted.get("queue-2999")).toBe(10);
  expect(channels).toMatchObject({ most: 8, opened: 8, open: 0 });
});

test("no queue, no channel", async () => {
  const { channels, openChannel } = scriptedBroker(async () => 1);
  expect((await passiveCounts(openChannel)([], soon())).size).toBe(0);
  expect(channels.opened).toBe(0);
});

test.each([
  { code: 404, words: "NOT_FOUND - no queue 'inbox' in vhost '/'", says: "missing" },
  {
    code: 404,
    words: "NOT_FOUND - home node 'a@b' of durable queue 'inbox' in vhost '/' is down or inaccessible",
    says: { reason: "queue_failed" },
  },
  {
    code: 404,
    words: "NOT_FOUND - failed to perform operation on queue 'inbox' in vhost '/' due to timeout",
    says: { reason: "queue_failed" },
  },
  { code: 405, words: "RESOURCE_LOCKED - cannot obtain exclusive access", says: "locked" },
  { code: 403, words: "ACCESS_REFUSED - access to queue refused", says: { reason: "queue_refused" } },
  { code: 541, words: "INTERNAL_ERROR", says: { reason: "queue_failed" } },
])("$code $words says $says, and the next queues are counted", async ({ code, words, says }) => {
  const { channels, openChannel } = scriptedBroker(async (queue) => {
    if (queue === "inbox") throw refusal(code, words);
    return 2;
  });
  const others = names(20);
  const counted = await passiveCounts(openChannel)(["inbox", ...others], soon());
  if (typeof says === "string") expect(counted.get("inbox")).toBe(says);
  else expect(counted.get("inbox")).toMatchObject(says);
  expect(others.map((queue) => counted.get(queue))).toEqual(others.map(() => 2));
  expect(channels.open).toBe(0);
});

test("without a connection nothing is known", async () => {
  const count = passiveCounts(() => Promise.reject(new Error("the broker is not connected")));
  expect((await count(["inbox"], soon())).get("inbox")).toMatchObject({ reason: "broker_not_connected" });
});

test.each([
  { what: "a broker that opens no channel", opens: false },
  { what: "a broker that opens channels and then is silent", opens: true },
])("$what costs no more than the time-out, look after look, and no further channels", async ({ opens }) => {
  const silence = new Promise<never>(() => {});
  const { channels, openChannel } = scriptedBroker(() => silence);
  let asked = 0;
  const count = passiveCounts(async () => {
    asked += 1;
    return opens ? await openChannel() : await silence;
  });
  for (let look = 0; look < 5; look += 1) {
    const startedMs = performance.now();
    const counted = await count(names(20), AbortSignal.timeout(50));
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    expect(
      [...counted.values()].every((found) => typeof found === "object" && found.reason === "timeout"),
    ).toBe(true);
  }
  expect(asked).toBe(8);
  expect(channels.open).toBe(opens ? 8 : 0);
});

test("a queue that never answers holds up no other, look after look", async () => {
  const silence = new Promise<never>(() => {});
  const { channels, openChannel } = scriptedBroker((queue) =>
    queue === "stuck" ? silence : Promise.resolve(1),
  );
  const count = passiveCounts(openChannel);
  for (let look = 0; look < 20; look += 1) {
    const counted = await count(["stuck", ...names(20)], AbortSignal.timeout(50));
    expect(counted.get("stuck")).toMatchObject({ reason: "timeout" });
    expect(names(20).map((queue) => counted.get(queue))).toEqual(names(20).map(() => 1));
  }
  expect(channels.open).toBe(1);
});

test("a look that was cut off leaves no channel open and spoils no later one", async () => {
  const { promise: silence, resolve: speak } = Promise.withResolvers<number>();
  const { channels, openChannel } = scriptedBroker((queue) =>
    queue === "slow" ? silence : Promise.resolve(1),
  );
  const count = passiveCounts(openChannel);
  const first = await count(["slow", "quick"], AbortSignal.timeout(50));
  expect(first.get("quick")).toBe(1);
  expect(first.get("slow")).toMatchObject({ reason: "timeout" });
  speak(7);
  expect((await count(["quick"], soon())).get("quick")).toBe(1);
  expect(channels.open).toBe(0);
  expect(first.get("slow")).toMatchObject({ reason: "timeout" });
});
