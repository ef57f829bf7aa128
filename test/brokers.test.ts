import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import net from "node:net";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { startBrokers, type Brokers } from "./brokers.ts";
import { managementHeaders, managementUrl } from "./brokers/addresses.ts";
import { tryAmqpLogin } from "./brokers/amqp-login.ts";
import { engineAnswers } from "./brokers/container-engine.ts";
import { findEpmd, findProgram, findRabbitmqServer } from "./brokers/programs.ts";
import { expectNoTrace, testFolder, watch } from "./brokers/traces.ts";

const hasEngine = await engineAnswers(process.env);
const hasServers = Boolean(
  (await findRabbitmqServer()) && (await findEpmd()) && (await findProgram("redis-server")),
);
/** Never from here: a test installs nothing. */
const canStart = hasEngine || hasServers;
const quiet = (): void => {};

describe("the brokers of this run", () => {
  test("let an administrator in, and nobody with a wrong password", async () => {
    const rabbitmq = inject("rabbitmq");
    const whoami = await fetch(managementUrl(rabbitmq, "whoami"), { headers: managementHeaders(rabbitmq) });
    expect(await whoami.text()).toContain("administrator");

    const signal = AbortSignal.timeout(10_000);
    await expect(tryAmqpLogin(rabbitmq, signal)).resolves.toBeUndefined();
    const stranger = { ...rabbitmq, password: "wrong" };
    await expect(tryAmqpLogin(stranger, signal)).rejects.toThrow("403");
  });

  test("are found again by their addresses in the environment, and outlive that", async () => {
    const { rabbitmq, redis } = inSomebodysEnvironment();
    const brokers = await startBrokers({ fromEnvironment: true, say: quiet });
    expect(brokers).toMatchObject({ source: "environment", rabbitmq, redis: { ...redis, databases: 16 } });
    await brokers.stop();
    expect(await listening(brokers)).toEqual([true, true, true]);
  });
});

describe("startBrokers", () => {
  test.each([
    {
      title: "Redis without RabbitMQ",
      env: { TEST_RABBITMQ_HOST: "" },
      problem: /^set both TEST_RABBITMQ_HOST and/,
    },
    {
      title: "a port out of range",
      env: { TEST_REDIS_PORT: "65536" },
      problem: /^TEST_REDIS_PORT is not a port$/,
    },
    {
      title: "an unknown kind",
      env: { TEST_BROKERS: "cloud" },
      problem: /^TEST_BROKERS must be "containers" or "local"/,
    },
    {
      title: "an image without containers",
      env: { TEST_REDIS_IMAGE: "valkey/valkey:8" },
      problem: /^TEST_RABBITMQ_IMAGE and TEST_REDIS_IMAGE need TEST_BROKERS=containers$/,
    },
  ])("refuses $title in the environment", async ({ env, problem }) => {
    inSomebodysEnvironment();
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    await expect(startBrokers({ fromEnvironment: true, say: quiet })).rejects.toThrow(problem);
  });

  test("in containers, when told so, starts nothing else in the place of an image that is not to be had", async () => {
    const script = `
      const { startBrokers } = await import(${JSON.stringify(import.meta.resolve("./brokers.ts"))});
      const brokers = await startBrokers({ fromEnvironment: true, say: console.log });
      await brokers.stop();`;
    const nowhere = "localhost:1/nothing:none";
    const env = {
      ...process.env,
      TEST_BROKERS: "containers",
      TEST_RABBITMQ_IMAGE: nowhere,
      TEST_REDIS_IMAGE: nowhere,
    };
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { env });
    onTestFinished(() => void child.kill("SIGTERM"));
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += String(chunk)));
    expect(await once(child, "close")).toEqual([1, null]);
    // Without an engine it gets no further than that.
    expect(output).toMatch(/pulled|localhost:1|container runtime/);
    expect(output).not.toContain("starting");
  });

  test.runIf(canStart)("starts a pair of its own, which ends without a trace", async () => {
    const watched = await watch();
    const brokers = await startBrokers({ fromEnvironment: false, say: quiet });
    onTestFinished(() => brokers.stop());
    expect(await listening(brokers)).toEqual([true, true, true]);
    expect(brokers.rabbitmq.amqpPort).not.toBe(inject("rabbitmq").amqpPort);

    await Promise.all([brokers.stop(), brokers.stop()]);
    expect(await listening(brokers)).toEqual([false, false, false]);
    await expectNoTrace(watched);
  });

  test.runIf(canStart)("ends without a trace when it is called off in mid-start", async () => {
    const watched = await watch();
    const callingOff = new AbortController();
    const starting = startBrokers({
      fromEnvironment: false,
      say: (line) => line.startsWith("starting RabbitMQ") && callingOff.abort(new Error("called off")),
      signal: callingOff.signal,
    });
    await expect(starting).rejects.toThrow("called off");
    await expectNoTrace(watched);
  });

  test.runIf(canStart)("leaves nothing behind in a process that is interrupted in mid-start", async () => {
    const watched = await watch();
    const script = `
      const { startBrokers } = await import(${JSON.stringify(import.meta.resolve("./brokers.ts"))});
      const interrupted = new AbortController();
      process.on("SIGINT", () => interrupted.abort(new Error("interrupted")));
      await startBrokers({ fromEnvironment: false, say: console.log, signal: interrupted.signal });`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { env: process.env });
    onTestFinished(() => void child.kill("SIGKILL"));
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => (errors += String(chunk)));
    child.stdout.on(
      "data",
      (chunk: Buffer) => String(chunk).includes("starting RabbitMQ") && child.kill("SIGINT"),
    );
    expect(await once(child, "close")).toEqual([1, null]);
    expect(errors).toContain("Error: interrupted");
    await expectNoTrace(watched);
  });

  test.runIf(hasServers)("tells what a server said before it failed, and stops the other", async () => {
    const programs = await testFolder();
    const watched = await watch();
    await writeFile(join(programs, "redis-server"), "#!/bin/sh\necho out of luck\nexit 7\n", { mode: 0o755 });
    allowOnly("local");
    vi.stubEnv("PATH", `${programs}:${process.env.PATH}`);
    const starting = startBrokers({ fromEnvironment: false, say: quiet });
    await expect(starting).rejects.toThrow("redis-server: ended (exit code 7)\nout of luck");
    await expectNoTrace(watched);
  });
});

/** This run's brokers, as if they were somebody's whose addresses are in the environment. */
function inSomebodysEnvironment(): Pick<Brokers, "rabbitmq" | "redis"> {
  const [rabbitmq, redis] = [inject("rabbitmq"), inject("redis")];
  onTestFinished(() => void vi.unstubAllEnvs());
  allowOnly("");
  vi.stubEnv("TEST_RABBITMQ_HOST", rabbitmq.host);
  vi.stubEnv("TEST_RABBITMQ_PORT", String(rabbitmq.amqpPort));
  vi.stubEnv("TEST_RABBITMQ_MANAGEMENT_PORT", String(rabbitmq.managementPort));
  vi.stubEnv("TEST_RABBITMQ_USER", rabbitmq.user);
  vi.stubEnv("TEST_RABBITMQ_PASS", rabbitmq.password);
  vi.stubEnv("TEST_REDIS_HOST", redis.host);
  vi.stubEnv("TEST_REDIS_PORT", String(redis.port));
  return { rabbitmq, redis };
}

/** Whatever this run was told. */
function allowOnly(source: string): void {
  vi.stubEnv("TEST_BROKERS", source);
  for (const image of ["TEST_RABBITMQ_IMAGE", "TEST_REDIS_IMAGE"]) vi.stubEnv(image, "");
}

/** Whether AMQP, the management API and Redis still take connections, in this order. */
async function listening({ rabbitmq, redis }: Brokers): Promise<boolean[]> {
  const { host, amqpPort, managementPort } = rabbitmq;
  return Promise.all([
    accepts(host, amqpPort),
    accepts(host, managementPort),
    accepts(redis.host, redis.port),
  ]);
}

async function accepts(host: string, port: number): Promise<boolean> {
  const socket = net.connect({ host, port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
