import { expect, test } from "vitest";
import { parseTargets } from "../src/parse-file.ts";
import { probesOf } from "../src/probes-of.ts";
import { targetsOf } from "../src/probes/queue-target.ts";
import { BASE } from "./watched.ts";

test("queues of the same schedule are looked at in one look, which knows of all the others", () => {
  const listeners = [{ name: "a", tag: "a" }];
  const parsed = parseTargets(
    JSON.stringify({
      heartbeat: {
        rmq_consumers: [
          { queue: "q", listeners },
          { queue: "r", listeners, severity: "warn" },
          { queue: "q", listeners, interval: 20 },
        ],
        components: [{ name: "db", probe: "tcp", host: "db", port: 1, interval: 20 }],
      },
    }),
  );
  if (!parsed.ok) throw new Error(parsed.problems.join());
  const groups: string[] = [];
  const probes = probesOf(parsed.targets, {
    base: BASE,
    look: () => async () => ({ state: "up" }),
    lookAtConsumers: (queues, all) => {
      groups.push(`${queues.map(({ queue }) => queue).join()} of ${all.map(({ queue }) => queue).join()}`);
      return { targets: queues.flatMap(targetsOf), look: async () => [] };
    },
  });
  expect(groups).toEqual(["q,r of q,r,q", "q of q,r,q"]);
  expect(probes).toHaveLength(3);
});
