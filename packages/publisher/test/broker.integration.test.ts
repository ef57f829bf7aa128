import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";
import { freePorts } from "../../../test/brokers/free-ports.ts";
import { type LocalRabbitmq, startLocalRabbitmq } from "../../../test/brokers/local-rabbitmq.ts";
import { findEpmd, findRabbitmqServer } from "../../../test/brokers/programs.ts";
import { testFolder } from "../../../test/brokers/traces.ts";
import { createAuthority } from "../../../test/certificates.ts";
import { broker } from "../src/probes/broker.ts";
import { federation } from "../src/probes/federation.ts";
import { shovel } from "../src/probes/shovel.ts";
import { lookingAt } from "./broker-look.ts";
import { freshPipeline, LAG, userIn } from "./fresh-pipeline.ts";
import { inBrief } from "./in-words.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

test("a healthy broker is up for whoever may use its management API, a quorum queue on a single node or not", async () => {
  const { vhost, channel } = await freshPipeline();
  await channel.assertQueue("quorum", { arguments: { "x-queue-type": "quorum" } });
  for (const tags of ["administrator", "monitoring", "management", "policymaker"]) {
    const look = lookingAt(broker, {}, { vhost, credentials: await userIn(vhost, tags) });
    expect(inBrief(await look()), tags).toBe("up");
    const seesNodes = tags === "administrator" || tags === "monitoring";
    const names = seesNodes ? ["memory_used_bytes", "disk_free_bytes"] : [];
    // A broker that has just started has no statistics yet.
    await expect.poll(async () => Object.keys((await look()).values ?? {}), LAG).toEqual(names);
  }
  const untagged = lookingAt(broker, {}, { vhost, credentials: await userIn(vhost, "") });
  expect(inBrief(await untagged())).toBe("unknown management_refused");
  const credentials = { ...inject("rabbitmq"), password: "wrong" };
  expect(inBrief(await lookingAt(broker, {}, { vhost, credentials })())).toBe("unknown management_refused");
});

const [rabbitmqServer, epmd] = [await findRabbitmqServer(), await findEpmd()];

// Of our own: an alarm stops all who publish to the broker, and a plugin is taken from all.
describe.runIf(rabbitmqServer && epmd)("a broker that is not well", () => {
  let rabbitmq: LocalRabbitmq;

  beforeAll(async () => {
    const programs = { rabbitmqServer: rabbitmqServer ?? "", epmd: epmd ?? "" };
    rabbitmq = await startLocalRabbitmq(programs, AbortSignal.timeout(60_000));
  });
  afterAll(() => rabbitmq.stop());

  const look = async (options: object = {}) =>
    await lookingAt(broker, options, { broker: rabbitmq.address })();

  test("has an alarm of memory, of disk, of both, and none again", async () => {
    onTestFinished(() => setLimits({ memory: "0.4", disk: "1MB" }));
    await setLimits({ memory: "0.000001" });
    await expect.poll(() => look()).toMatchObject({ state: "down", reason: "memory_alarm" });
    expect(inBrief(await look({ alarms: false }))).toBe("up");
    const detail = async () => (await look()).detail;
    await expect
      .poll(detail, LAG)
      .toMatch(/^alarm of memory on test-\w+@localhost \(\d+ bytes used of \d+\)$/);

    await setLimits({ memory: "0.4", disk: "1000000GB" });
    await expect.poll(() => look()).toMatchObject({ state: "down", reason: "disk_alarm" });
    await expect
      .poll(detail, LAG)
      .toMatch(/^alarm of disk space on \S+ \(\d+ bytes free, at least 10+ needed\)$/);

    await setLimits({ memory: "0.000001" });
    await expect.poll(() => look()).toMatchObject({ state: "down", reason: "memory_alarm" });
    expect(await detail()).toMatch(/^alarm of memory .*; alarm of disk space/);

    await setLimits({ memory: "0.4", disk: "1MB" });
    await expect.poll(() => look()).toMatchObject({ state: "up" });
  });

  test("has a certificate that ends soon, or has ended", async () => {
    const authority = createAuthority(await testFolder(), { name: "authority" });
    const validFrom = new Date(Date.now() - 10 * DAY_MS);
    const valid = (name: string, days: number) =>
      authority.issue({ name, validFrom, validUntil: new Date(Date.now() + days * DAY_MS) });

    await withListener(authority.certPath, valid("long", 100), async () => {
      expect(inBrief(await look())).toBe("up");
    });
    await withListener(authority.certPath, valid("soon", 10), async (port) => {
      const seen = await look();
      expect(inBrief(seen)).toBe("down certificate_expires_soon");
      expect(seen.detail).toMatch(
        new RegExp(`^the broker's certificates end: on the port ${port} the first ends at 20.* UTC$`),
      );
      expect(inBrief(await look({ certificateDays: 9 }))).toBe("up");
      expect(inBrief(await look({ certificateDays: 0 }))).toBe("up");
    });
    await withListener(authority.certPath, valid("over", -1), async () => {
      expect(inBrief(await look())).toBe("down certificate_expired");
    });
  });

  test("lacks the plugins of shovels and federation", async () => {
    const plugins = ["rabbitmq_shovel_management", "rabbitmq_federation_management"];
    await control("rabbitmq-plugins", "disable", ...plugins);
    const at = { broker: rabbitmq.address };
    const looks = [lookingAt(shovel, { names: ["a"] }, at), lookingAt(federation, { upstreams: ["a"] }, at)];
    for (const look of looks) {
      await expect.poll(look, LAG).toMatchObject({ state: "unknown", reason: "plugin_missing" });
    }
    await control("rabbitmq-plugins", "enable", ...plugins);
    for (const look of looks) {
      await expect.poll(look, LAG).toMatchObject({ state: "down", reason: "link_missing" });
    }
  });

  test("has static shovels, which only an administrator sees", async () => {
    const uri = `amqp://guest:guest@127.0.0.1:${rabbitmq.address.amqpPort}`;
    const end = `[{protocol,amqp091},{uris,["${uri}"]}`;
    const source = `{source,${end},{declarations,[{'queue.declare',[{queue,<<"from">>}]}]},{queue,<<"from">>}]}`;
    const sink = `{destination,${end}]}`;
    const shovels = `[{fixed,[${source},${sink},{ack_mode,on_confirm},{reconnect_delay,1}]}]`;
    await evaluate(
      `application:stop(rabbitmq_shovel), application:set_env(rabbitmq_shovel, shovels, ${shovels}), application:start(rabbitmq_shovel).`,
    );
    const seen = lookingAt(shovel, { names: ["fixed"] }, { broker: rabbitmq.address });
    await expect.poll(seen, LAG).toMatchObject({ state: "up", values: { shovels_running: 1 } });
    await control("rabbitmqctl", "add_user", "monitor", "secret");
    await control("rabbitmqctl", "set_user_tags", "monitor", "monitoring");
    await control("rabbitmqctl", "set_permissions", "monitor", "", "", ".*");
    const credentials = { user: "monitor", password: "secret" };
    const unseen = lookingAt(shovel, { names: ["fixed"] }, { broker: rabbitmq.address, credentials });
    expect(inBrief(await unseen())).toBe("down link_missing");
  });

  async function setLimits({ memory, disk }: { memory?: string; disk?: string }): Promise<void> {
    if (memory !== undefined) await control("rabbitmqctl", "set_vm_memory_high_watermark", memory);
    if (disk !== undefined) await control("rabbitmqctl", "set_disk_free_limit", disk);
  }

  /** While the broker listens with this certificate, too. */
  async function withListener(
    caPath: string,
    { certPath, keyPath }: { certPath: string; keyPath: string },
    work: (port: number) => Promise<void>,
  ): Promise<void> {
    const [port = 0] = await freePorts(1);
    const address = `{"127.0.0.1",${port},inet}`;
    const files = `[{certfile,"${certPath}"},{keyfile,"${keyPath}"},{cacertfile,"${caPath}"}]`;
    await evaluate(`ok = rabbit_networking:start_ssl_listener(${address}, ${files}, 1, 1).`);
    try {
      await work(port);
    } finally {
      await evaluate(`rabbit_networking:stop_tcp_listener(${address}).`);
    }
  }

  async function evaluate(expression: string): Promise<void> {
    await control("rabbitmqctl", "eval", expression);
  }

  async function control(program: string, ...args: string[]): Promise<void> {
    const path = join(dirname(rabbitmqServer ?? ""), program);
    await promisify(execFile)(path, args, { env: rabbitmq.env });
  }
});
