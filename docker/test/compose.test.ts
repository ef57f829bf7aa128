import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectHealth } from "../../test/processes.ts";
import { composeStack, connectScript, summary } from "./compose-stack.ts";
import { dockerOutput } from "./docker.ts";

/** Below the time that a test has, so that what is wrong is still told. */
const UP_WITHIN_MS = 100_000;
/** Two looks five seconds apart, RabbitMQ's statistics of up to six, and a slow machine. */
const SEEN_WITHIN_MS = 40_000;
const STOPS_WITHIN_MS = 5_000;
const SILENT_AFTER_MS = 2.5 * 15_000;

const SERVICES = ["rabbitmq", "redis", "publisher", "subscriber"];
const withPipeline = { code: 200, problems: [], sites: ["default", "pipeline"] };

describe("compose.yaml", () => {
  const stack = composeStack();
  beforeAll(async () => {
    await stack.compose("up", "--build", "--detach");
  });
  afterAll(() => stack.remove());

  test("comes up from nothing to /health 200", async () => {
    await expectHealth(await stack.url(), UP_WITHIN_MS, (health) =>
      expect(summary(health)).toEqual({ code: 200, problems: [], sites: ["default"] }),
    );
  });

  test.each(SERVICES)("gives %s a read-only root, no capability and limits", async (service) => {
    const { HostConfig, Config } = await stack.inspect(service);
    expect(HostConfig).toMatchObject({
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      CapAdd: null,
      SecurityOpt: ["no-new-privileges:true"],
      RestartPolicy: { Name: "unless-stopped" },
    });
    expect(HostConfig.Memory).toBeGreaterThan(0);
    expect(HostConfig.NanoCpus).toBeGreaterThan(0);
    expect(HostConfig.PidsLimit).toBeGreaterThan(0);
    expect(HostConfig.LogConfig.Config).toHaveProperty("max-size");
    expect(Config.User).toMatch(/^[1-9]\d*:[1-9]\d*$/);
  });

  test("expects to hear of its publisher's site", async () => {
    expect((await stack.inspect("subscriber")).Config.Env).toContain("EXPECTED_SITES=default");
  });

  test("publishes two ports, on the loopback interface only", async () => {
    const containers = await Promise.all(SERVICES.map((service) => stack.inspect(service)));
    const ports = containers.flatMap(({ NetworkSettings }) =>
      Object.entries<{ HostIp: string }[] | null>(NetworkSettings.Ports).flatMap(([port, bindings]) =>
        (bindings ?? []).map(({ HostIp }) => `${HostIp} ${port}`),
      ),
    );
    expect(ports).toEqual(["127.0.0.1 15672/tcp", "127.0.0.1 8080/tcp"]);
  });

  test("has a wall that only the broker stands on both sides of", async () => {
    const networks = async (service: string) =>
      Object.keys((await stack.inspect(service)).NetworkSettings.Networks).map((name) =>
        name.replace(/^.*_/, ""),
      );
    expect(await networks("publisher")).toEqual(["inside"]);
    expect((await networks("rabbitmq")).toSorted()).toEqual(["inside", "outside"]);
    expect(await networks("subscriber")).toEqual(["outside"]);
    expect(await networks("redis")).toEqual(["outside"]);

    const [redis] = Object.values<{ IPAddress: string }>(
      (await stack.inspect("redis")).NetworkSettings.Networks,
    );
    expect(await stack.node("publisher", connectScript("rabbitmq", 5672))).toBe("open");
    // How it is refused differs from engine to engine.
    expect(await stack.node("publisher", connectScript(redis?.IPAddress ?? "", 6379))).not.toBe("open");
  });

  test(
    "watches the example pipeline with its profile, and names a worker that is stopped",
    async () => {
      const url = await stack.url();
      const pipeline = ["--profile", "pipeline"];
      await stack.compose(...pipeline, "up", "--build", "--detach");
      await expectHealth(url, UP_WITHIN_MS, (health) => expect(summary(health)).toEqual(withPipeline));

      await stack.compose(...pipeline, "stop", "sda-ingest");
      await expectHealth(url, SEEN_WITHIN_MS, ({ code, problems }) => {
        expect(code).toBe(503);
        expect(problems.join("\n")).toContain("service sda-ingest (site pipeline) is down ");
      });
      await stack.compose(...pipeline, "start", "sda-ingest");
      await expectHealth(url, SEEN_WITHIN_MS, (health) => expect(summary(health)).toEqual(withPipeline));
    },
    UP_WITHIN_MS + 2 * SEEN_WITHIN_MS,
  );

  test("keeps the data of RabbitMQ and Redis when their containers are made anew", async () => {
    const login = Buffer.from("heartbeat:for-trying-it-out").toString("base64");
    const askRabbitmq = async (method: string) => {
      const url = `http://${await stack.address("rabbitmq", 15672)}/api/vhosts/kept`;
      return (await fetch(url, { method, headers: { authorization: `Basic ${login}` } })).status;
    };
    expect(await askRabbitmq("PUT")).toBe(201);
    await stack.compose("exec", "-T", "redis", "redis-cli", "set", "kept", "yes");

    await stack.compose("up", "--detach", "--force-recreate", "--no-deps", "rabbitmq", "redis");
    await expect.poll(() => askRabbitmq("GET").catch(String), { timeout: UP_WITHIN_MS }).toBe(200);
    const backAtMs = Date.now();
    expect(await stack.compose("exec", "-T", "redis", "redis-cli", "get", "kept")).toBe("yes");
    await expectHealth(await stack.url(), UP_WITHIN_MS, (health) => {
      expect(summary(health)).toEqual(withPipeline);
      // From heartbeats that came through the new broker.
      const deadlines = health.sites.map(({ deadline }) => Date.parse(deadline));
      expect(Math.min(...deadlines)).toBeGreaterThan(backAtMs + SILENT_AFTER_MS);
    });
  });

  test.each(["publisher", "subscriber"])("the %s ends in order on docker stop", async (service) => {
    const container = await stack.container(service);
    const startMs = performance.now();
    await dockerOutput(["stop", container]);
    expect(performance.now() - startMs).toBeLessThan(STOPS_WITHIN_MS);
    const [{ State }] = JSON.parse(await dockerOutput(["inspect", container]));
    expect(State.ExitCode).toBe(0);
  });

  test("leaves nothing behind after down --volumes", async () => {
    await stack.compose("--profile", "pipeline", "down", "--volumes");
    expect(await stack.remains()).toEqual([]);
  });
});
