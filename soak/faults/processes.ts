import type { Fault } from "./fault.ts";

export const processFaults: readonly Fault[] = [
  endFault("publisher stopped", "publisher", "SIGTERM"),
  endFault("publisher killed", "publisher", "SIGKILL"),
  endFault("subscriber stopped", "subscriber", "SIGTERM"),
  endFault("subscriber killed", "subscriber", "SIGKILL"),
  {
    name: "publisher stopped while the broker is away",
    subjects: ["broker", "publishing"],
    async make({ world, wait }) {
      const { broker } = world.mortal.publisher.proxies;
      await broker?.set("refuse");
      await wait(1, 4);
      await world.mortal.publisher.end("SIGTERM");
      await broker?.set("pass");
      await world.mortal.publisher.start();
    },
  },
  inHandFault("subscriber stopped with all messages in its hands", "SIGTERM"),
  inHandFault("subscriber killed with all messages in its hands", "SIGKILL"),
];

/** It cannot store what comes, and the other one gets nothing. */
function inHandFault(name: string, signal: "SIGTERM" | "SIGKILL"): Fault {
  return {
    name,
    subjects: ["redis", "broker"],
    async make({ world, wait }) {
      const { subscriber } = world.mortal;
      const others = world.subscribers.filter((other) => other !== subscriber);
      for (const { proxies } of others) await proxies.broker?.set("refuse");
      await subscriber.proxies.redis?.set("hold");
      await wait(5, 8);
      await subscriber.end(signal);
      await subscriber.proxies.redis?.set("pass");
      for (const { proxies } of others) await proxies.broker?.set("pass");
      await subscriber.start();
    },
  };
}

function endFault(name: string, role: "publisher" | "subscriber", signal: "SIGTERM" | "SIGKILL"): Fault {
  return {
    name,
    subjects: [],
    async make({ world, wait }) {
      await world.mortal[role].end(signal);
      await wait(0, 12);
      await world.mortal[role].start();
    },
  };
}
