import { randomBytes } from "node:crypto";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { freshProxy } from "../../../test/fresh-proxy.ts";
import { management } from "../src/probes/management.ts";
import {
  LAG,
  freshPipeline,
  pipelineIn,
  probeIn,
  soon,
  statesOf,
  targets,
  userIn,
  workingPipeline,
  WORKING_QUEUES,
} from "./fresh-pipeline.ts";
import { inWords } from "./in-words.ts";
import { listener, queueTarget } from "./queues.ts";

/** Names that have to be encoded, each in its own way. */
const ODD_NAMES = [
  "in/box",
  "in box",
  "kø ä 日本",
  "%2f",
  "a%20b",
  "?x=1&y",
  "#",
  "a+b",
  "a;b",
  '"quoted"',
  "...",
];

const VHOST_ENDS = ["-sda", "/a/b", " with spaces", " bjørn ä 日本", "%2f", "100%25", "?x#y", "/"];

describe("names", () => {
  test("in vhosts of all names, queues of all names are found, by every way", async () => {
    const queues = [...targets(...ODD_NAMES), ...targets("in%2Fbox")];
    const states = [...ODD_NAMES.flatMap(() => ["up", "up"]), "down", "down"];
    const checked = VHOST_ENDS.map(async (end) => {
      const { vhost, channel } = await freshPipeline(end);
      for (const queue of ODD_NAMES) {
        await channel.assertQueue(queue);
        await channel.consume(queue, () => {}, { consumerTag: `ctag-${queue}-1` });
      }
      expect(await statesOf(await probeIn({ vhost, queues, source: "passive" }))).toEqual(states);
      const all = await probeIn({ vhost, queues, source: "management" });
      await expect.poll(() => statesOf(all), LAG).toEqual(states);
      const credentials = await userIn(vhost, "management");
      const each = await probeIn({ vhost, queues, source: "management", credentials });
      await expect.poll(() => statesOf(each), LAG).toEqual(states);
    });
    await Promise.all(checked);
  });

  test("the vhost / is as good as any other", async () => {
    const { vhost, channel } = await pipelineIn("/");
    const queue = `test/${randomBytes(6).toString("hex")}`;
    await channel.assertQueue(queue, { exclusive: false, autoDelete: true });
    await channel.consume(queue, () => {}, { consumerTag: `ctag-${queue}-1` });
    const queues = targets(queue, `${queue}-gone`);
    const probe = await probeIn({ vhost, queues, source: "management" });
    await expect.poll(() => statesOf(probe), LAG).toEqual(["up", "up", "down", "down"]);
    expect(await statesOf(await probeIn({ vhost, queues, source: "passive" }))).toEqual([
      "up",
      "up",
      "down",
      "down",
    ]);
  });

  test("a queue that no address can name is unknown to the API, not missing", async () => {
    const { vhost, channel } = await freshPipeline();
    for (const queue of [".", ".."]) await channel.assertQueue(queue);
    const credentials = await userIn(vhost, "management");
    const queues = targets(".", "..");
    const probe = await probeIn({ vhost, queues, source: "management", credentials });
    expect(await statesOf(probe)).toEqual(Array(4).fill("unknown"));
    expect(await statesOf(await probeIn({ vhost, queues, credentials }))).toEqual(Array(4).fill("down"));
    await channel.consume(".", () => {});
    expect(await statesOf(await probeIn({ vhost, queues, credentials }))).toEqual([
      "unknown",
      "unknown",
      "down",
      "down",
    ]);
  });
});

describe("users", () => {
  test("whoever has one of three tags sees the workers of others", async () => {
    const { vhost } = await workingPipeline();
    const queues = targets(...WORKING_QUEUES, "gone");
    for (const tag of ["administrator", "monitoring", "management"]) {
      const credentials = await userIn(vhost, tag);
      const probe = await probeIn({ vhost, queues, source: "management", credentials });
      await expect.poll(() => statesOf(probe), LAG).toEqual([...Array(6).fill("up"), "down", "down"]);
    }
  });

  test("one without a tag cannot ask the API: he counts, and never says up", async () => {
    const { vhost, channel } = await workingPipeline();
    const credentials = await userIn(vhost, "");
    await channel.cancel("ctag-/app/ingest-1");
    const queues = [...targets("inbox", "ingest", "gone"), queueTarget("archived", [])];
    const byApi = await (await probeIn({ vhost, queues, source: "management", credentials })).look(soon());
    expect(inWords(byApi)).toEqual(Array(7).fill("unknown management_refused"));
    const byEither = await (await probeIn({ vhost, queues, credentials })).look(soon());
    expect(byEither).toMatchObject([
      { state: "unknown", reason: "management_refused" },
      { state: "unknown", reason: "management_refused" },
      { state: "down", reason: "consumer_missing" },
      { state: "down", reason: "consumer_missing" },
      { state: "down", reason: "queue_missing" },
      { state: "down", reason: "queue_missing" },
      { state: "up" },
    ]);
  });

  test("a wrong password and a vhost that does not exist are told apart from down", async () => {
    const { host, managementPort, user, password } = inject("rabbitmq");
    const settings = { url: `http://${host}:${managementPort}`, user, password, vhost: "/", tls: undefined };
    for (const wrong of [
      { user: "nobody" },
      { password: "wrong" },
      { vhost: `none-${randomBytes(6).toString("hex")}` },
    ]) {
      const api = management({ ...settings, ...wrong });
      onTestFinished(() => api.close());
      const reason = "vhost" in wrong ? "management_failed" : "management_refused";
      await expect(api.consumers(soon())).rejects.toMatchObject({ reason });
    }
  });
});

describe("consumers", () => {
  test("a worker that is gone, a queue that is gone and a worker that is back are seen", async () => {
    const { vhost, channel } = await workingPipeline();
    const probe = await probeIn({ vhost, queues: targets(...WORKING_QUEUES), source: "management" });
    await expect.poll(() => statesOf(probe), LAG).toEqual(["up", "up", "up", "up", "up", "up"]);
    await channel.cancel("ctag-/app/ingest-1");
    await channel.deleteQueue("archived");
    await expect.poll(() => statesOf(probe), LAG).toEqual(["up", "up", "down", "down", "down", "down"]);
    const reasons = (await probe.look(soon())).map(({ reason }) => reason);
    expect(reasons[2]).toBe("consumer_missing");
    expect(reasons[4]).toBe("queue_missing");
    await channel.consume("ingest", () => {}, { consumerTag: "ctag-/app/ingest-2" });
    await expect.poll(() => statesOf(probe), LAG).toEqual(["up", "up", "up", "up", "down", "down"]);
  });

  test("queues that are deleted under their workers are down and stay so, whatever the list of consumers says", async () => {
    const types = ["classic", "quorum", "stream"];
    const { vhost, channel } = await freshPipeline();
    await channel.prefetch(10);
    for (const type of types) {
      await channel.assertQueue(type, { arguments: { "x-queue-type": type } });
      await channel.consume(type, () => {}, { consumerTag: `ctag-${type}-1` });
    }
    const probe = await probeIn({ vhost, queues: targets(...types), source: "management" });
    await expect.poll(() => statesOf(probe), LAG).toEqual(Array(6).fill("up"));
    for (const type of types) await channel.deleteQueue(type);
    // The list forgets the consumers, and some seconds later two of them are in it again, `up`, for two minutes.
    const untilMs = performance.now() + 8_000;
    while (performance.now() < untilMs) expect(await statesOf(probe)).toEqual(Array(6).fill("down"));
  });

  test("of a single active consumer, the stand-by is up", async () => {
    const { vhost, channel } = await freshPipeline();
    const listeners = ["first", "second", "third"].map((name) => {
      return listener(name, name);
    });
    const queues = ["classic", "quorum"].map((queue) => queueTarget(queue, listeners));
    for (const { queue } of queues) {
      await channel.assertQueue(queue, {
        arguments: { "x-queue-type": queue, "x-single-active-consumer": true },
      });
      for (const name of ["first", "second"]) {
        await channel.consume(queue, () => {}, { consumerTag: `ctag-${name}-${queue}` });
      }
    }
    const probe = await probeIn({ vhost, queues, source: "management" });
    await expect
      .poll(() => statesOf(probe), LAG)
      .toEqual(["down", "up", "up", "down", "down", "up", "up", "down"]);
  });

  test("the right tag on the wrong queue is no worker", async () => {
    const { vhost, channel } = await freshPipeline();
    for (const queue of ["inbox", "ingest"]) await channel.assertQueue(queue);
    await channel.consume("ingest", () => {}, { consumerTag: "ctag-inbox-1" });
    const [inbox] = targets("inbox");
    const queues = [...targets("inbox"), queueTarget("ingest", inbox?.listeners ?? [])];
    const probe = await probeIn({ vhost, queues, source: "management" });
    await expect.poll(() => statesOf(probe), LAG).toEqual(["down", "down", "up", "up"]);
  });

  test("of an exclusive queue the API tells the consumers, a passive declare only that it exists", async () => {
    const { vhost, channel } = await freshPipeline();
    await channel.assertQueue("inbox", { exclusive: true });
    await channel.consume("inbox", () => {}, { consumerTag: "ctag-inbox-1" });
    const queues = [...targets("inbox"), queueTarget("inbox", [])];
    const probe = await probeIn({ vhost, queues, source: "management" });
    await expect.poll(() => statesOf(probe), LAG).toEqual(["up", "up", "up"]);
    const counted = await (await probeIn({ vhost, queues, source: "passive" })).look(soon());
    expect(counted).toMatchObject([
      { state: "unknown", reason: "queue_locked" },
      { state: "unknown", reason: "queue_locked" },
      { state: "up" },
    ]);
  });

  test.each(["management", "passive"] as const)(
    "three thousand of them are looked at in a second: %s",
    async (source) => {
      const { vhost, channel } = await freshPipeline();
      const names = Array.from({ length: 30 }, (_, index) => `queue-${index}-`);
      const worker = (queue: string, index: number) => `ctag-/app/${queue}${index}`;
      await Promise.all(names.map((queue) => channel.assertQueue(queue)));
      await Promise.all(
        names.flatMap((queue) =>
          Array.from({ length: 100 }, (_, index) =>
            channel.consume(queue, () => {}, { consumerTag: worker(queue, index) }),
          ),
        ),
      );
      const queues = names.map((queue) => {
        const tags = Array.from({ length: 100 }, (_, index) => worker(queue, index));
        return queueTarget(
          queue,
          tags.map((tag) => ({ ...listener(tag, tag), matches: (found: string) => found === tag })),
        );
      });
      const probe = await probeIn({ vhost, queues, source });
      await expect.poll(() => statesOf(probe), LAG).toEqual(Array(3_030).fill("up"));
      const startedMs = performance.now();
      await probe.look(soon());
      expect(performance.now() - startedMs).toBeLessThan(1_000);
    },
  );
});

test("an API that is away for a while is replaced and taken up again", async () => {
  const { vhost, channel } = await workingPipeline();
  const { host, managementPort } = inject("rabbitmq");
  const api = await freshProxy({ host, port: managementPort });
  await api.set("refuse");
  const url = `http://127.0.0.1:${api.port}`;
  const probe = await probeIn({ vhost, queues: targets("inbox", "ingest"), url });
  await channel.cancel("ctag-/app/ingest-1");
  expect(await statesOf(probe)).toEqual(["unknown", "unknown", "down", "down"]);
  await api.set("pass");
  await expect.poll(() => statesOf(probe), LAG).toEqual(["up", "up", "down", "down"]);
});
