import { setTimeout as sleep } from "node:timers/promises";
import { mendQueue, QUEUE, unbindQueue } from "../third-party.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

const SUBJECTS = ["broker", "publishing", "management API"];
const EMPTY_WITHIN_MS = 15_000;

export const brokerFaults: readonly Fault[] = [
  {
    name: "broker killed",
    subjects: SUBJECTS,
    certain: ["broker"],
    async make({ world, wait }) {
      await world.servers.rabbitmq.kill();
      await wait(0, 5);
      await world.servers.rabbitmq.restart();
    },
  },
  {
    name: "broker and Redis killed",
    subjects: [...SUBJECTS, "redis"],
    certain: ["broker", "redis"],
    async make({ world, wait, whileUnknowable }) {
      const { rabbitmq, redis } = world.servers;
      await Promise.all([rabbitmq.kill(), redis.kill()]);
      await whileUnknowable(world.subscribers, () => wait(2, 5));
      await Promise.all([rabbitmq.restart(), redis.restart()]);
    },
  },
  {
    name: "broker's memory alarm",
    subjects: SUBJECTS,
    async make({ world, wait }) {
      await world.servers.rabbitmq.control("set_vm_memory_high_watermark", "0");
      await wait(4, 8);
      await world.servers.rabbitmq.control("set_vm_memory_high_watermark", "0.8");
    },
  },
  {
    name: "queue unbound",
    subjects: SUBJECTS,
    async make({ world, wait }) {
      await world.third.stopHearing();
      await world.third.withChannel(unbindQueue);
      await wait(2, 6);
      await world.third.withChannel(mendQueue);
      await world.third.startHearing();
    },
  },
  {
    name: "queue deleted",
    subjects: SUBJECTS,
    async make({ world, wait }) {
      await world.third.stopHearing();
      await world.third.withChannel(unbindQueue);
      // What waits in it would be lost by whoever deletes it.
      if (await emptied(world)) {
        await world.third.withChannel(async (channel) => void (await channel.deleteQueue(QUEUE)));
        await wait(1, 4);
      }
      await world.third.withChannel(mendQueue);
      await world.third.startHearing();
    },
  },
];

/** Whether nothing is in the queue any more, nor in anybody's hands. */
async function emptied(world: World): Promise<boolean> {
  for (const untilMs = Date.now() + EMPTY_WITHIN_MS; Date.now() < untilMs; await sleep(500)) {
    // The statistics lag behind: asked again, five seconds later, they are about this moment.
    if ((await world.countQueued()) === 0 && (await sleep(5_500, true)) && (await world.countQueued()) === 0)
      return true;
  }
  return false;
}
