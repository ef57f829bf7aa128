import { type Action, type Acting, MINUTE_MS, SECOND_MS } from "./actions.ts";
import type { Disturbance } from "./judge.ts";
import { closeConnections } from "./broker-objects.ts";
import { type Configuration } from "./configuration.ts";
import { SITE } from "./pipeline.ts";

/** RabbitMQ's shovels, links and statistics are back by then, and so are the workers. */
const BROKER_SETTLES_MS = 30 * SECOND_MS;
const BROKER_AWAY_MS = [2_000, 6_000] as const;
/** The longest confirm pause, and two looks. */
const FIRST_LOOKS_MS = 20 * SECOND_MS;
const SILENT_MS = [1_000, 5_000] as const;
const GREEN_AGAIN_MS = 15 * SECOND_MS;
const POLL_MS = 100;

/** What happens to the services, to the servers below them, and to the file. */
export function serviceActions(): Action[] {
  return [
    {
      name: "RabbitMQ restarted",
      subject: "broker",
      restMs: 10 * MINUTE_MS,
      isForgetful: true,
      async make({ pipeline: { servers }, books, random, wait }) {
        const disturbance = books.disturb("the broker is restarted");
        try {
          await servers.rabbitmq.kill();
          await wait(random.between(...BROKER_AWAY_MS));
          await servers.rabbitmq.restart();
        } finally {
          disturbance.end(Date.now() + BROKER_SETTLES_MS);
        }
      },
    },
    {
      name: "publisher's connection closed",
      subject: "publisher's connection",
      restMs: 5 * MINUTE_MS,
      make: async ({ pipeline: { servers } }) =>
        void (await closeConnections(servers.rabbitmq.address, `pipeline-heartbeat publisher ${SITE}`)),
    },
    {
      name: "management API slow",
      subject: "management API",
      restMs: 0,
      async make({ pipeline: { management }, wait }) {
        await management.set("hold");
        await wait(2 * SECOND_MS);
        await management.set("pass");
      },
    },
    {
      name: "Redis restarted",
      subject: "Redis",
      restMs: 2 * MINUTE_MS,
      make: (acting) =>
        whileHidden("Redis is restarted", acting, async ({ pipeline: { servers } }) => {
          await servers.redis.kill();
          await servers.redis.restart();
        }),
    },
    {
      name: "subscriber restarted",
      subject: "subscriber",
      restMs: 2 * MINUTE_MS,
      make: (acting) =>
        whileHidden("the subscriber is restarted", acting, async ({ pipeline: { subscriber } }) => {
          await subscriber.end("SIGTERM");
          await subscriber.start();
        }),
    },
    {
      name: "publisher restarted",
      subject: "publisher",
      restMs: 2 * MINUTE_MS,
      isForgetful: true,
      async make({ pipeline: { publisher }, books, random, wait }) {
        const disturbance = books.disturb("the publisher is started");
        await publisher.end("SIGTERM");
        await wait(random.between(...SILENT_MS));
        await publisher.start();
        disturbance.end(Date.now() + FIRST_LOOKS_MS);
      },
    },
    ...fileActions(),
  ];
}

/** Until /health is green again, or for so long. */
async function whileHidden(
  what: Disturbance,
  acting: Acting,
  work: (acting: Acting) => Promise<void>,
): Promise<void> {
  const disturbance = acting.books.disturb(what);
  await work(acting);
  const untilMs = Date.now() + GREEN_AGAIN_MS;
  // An answer that was asked for before does not count.
  await acting.wait(SECOND_MS);
  while (acting.health.last?.code !== 200 && Date.now() < untilMs) await acting.wait(POLL_MS);
  disturbance.end(Date.now());
}

const ADDED = "added";

function fileActions(): Action[] {
  let isAdded = false;
  const now = ({ heartbeat }: Configuration): Configuration => {
    const model = heartbeat.components.find(({ probe }) => probe === "tcp");
    const added = isAdded && model ? [{ ...model, name: ADDED }] : [];
    return { heartbeat: { ...heartbeat, components: [...heartbeat.components, ...added] } };
  };
  return [
    {
      name: "file written with the same content",
      subject: "file",
      restMs: 0,
      make: async ({ pipeline, random }) => pipeline.configure(now(pipeline.configuration), how(random)),
    },
    {
      name: "file written in another order",
      subject: "file",
      restMs: 0,
      async make({ pipeline, random }) {
        const { heartbeat } = now(pipeline.configuration);
        const components = random.shuffled(heartbeat.components);
        const queues = random.shuffled(heartbeat.rmq_consumers);
        pipeline.configure({ heartbeat: { ...heartbeat, components, rmq_consumers: queues } }, how(random));
      },
    },
    {
      name: "component added or removed",
      subject: "file",
      restMs: 0,
      async make({ pipeline, books, random }) {
        isAdded = !isAdded;
        const disturbance = books.disturb("a component is added", `service:${ADDED}`);
        pipeline.configure(now(pipeline.configuration), how(random));
        disturbance.end(Date.now() + FIRST_LOOKS_MS);
      },
    },
  ];
}

function how(random: Acting["random"]): "written over" | "swapped" {
  return random.chance(0.5) ? "written over" : "swapped";
}
