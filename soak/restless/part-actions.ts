import { type Action, SECOND_MS } from "./actions.ts";
import type { Pipeline } from "./pipeline.ts";
import { QUEUES } from "./queues.ts";

/** A failure is confirmed a second after it was seen: away for less, with some of that for a machine that is busy. */
const PEER_AWAY_MS = [50, 700] as const;
/** For what only the broker's statistics tell it takes six. */
const WORKER_AWAY_MS = [200, 3_000] as const;
const BURST = [100, 5_000] as const;
const BEHIND_A_SLOW_ONE = 5;
const TEXT = Buffer.alloc(200, "message ");

/** What happens to the parts of the pipeline, and what goes through it. */
export function partActions({ workers, peers }: Pipeline): Action[] {
  return [
    ...workers.flatMap((worker): Action[] => [
      {
        name: "worker redeployed",
        subject: worker.name,
        restMs: 0,
        make: ({ random }) => worker.redeploy(random.between(...WORKER_AWAY_MS)),
      },
      {
        name: "worker's channel reopened",
        subject: worker.name,
        restMs: 0,
        make: () => worker.reopenChannel(),
      },
    ]),
    ...peers.map((peer): Action => ({
      name: "server restarted",
      subject: peer.name,
      restMs: 0,
      async make({ random, wait }) {
        await peer.stop();
        await wait(random.between(...PEER_AWAY_MS));
        await peer.start();
      },
    })),
    ...peers
      .filter(({ renew }) => renew !== undefined)
      .map((peer): Action => ({
        name: "certificate renewed",
        subject: peer.name,
        restMs: 0,
        make: async () => peer.renew?.(),
      })),
    ...QUEUES.filter(({ isBusy }) => isBusy).flatMap(({ name, type }): Action[] => [
      {
        name: "burst of messages",
        subject: `messages in ${name}`,
        restMs: 0,
        make: async ({ pipeline, random }) => send(pipeline, name, Math.round(random.between(...BURST)), 0),
      },
      ...(type === "stream" ? [] : [slowMessage(name)]),
    ]),
  ];
}

/** A worker that has much to do with one message is not stuck. */
function slowMessage(queue: string): Action {
  return {
    name: "slow message",
    subject: `messages in ${queue}`,
    restMs: 0,
    async make({ pipeline, random }) {
      const mostMs = (pipeline.timing.stalledAfterS * SECOND_MS) / 3;
      await send(pipeline, queue, 1, Math.round(random.between(mostMs / 3, mostMs)));
      await send(pipeline, queue, BEHIND_A_SLOW_ONE, 0);
    },
  };
}

/** Resolves when the broker has them all. */
export async function send({ third }: Pipeline, queue: string, count: number, workMs: number): Promise<void> {
  await third.withChannel(async (channel) => {
    for (let sent = 0; sent < count; sent += 1) {
      channel.sendToQueue(queue, TEXT, { persistent: true, headers: { "work-ms": workMs } });
    }
    // Its answer comes after all of them.
    await channel.checkQueue(queue);
  });
}
