import { describe, expect, inject, onTestFinished, test } from "vitest";
import { temporaryFile } from "../../test/processes.ts";
import { docker, dockerOutput } from "./docker.ts";
import type { Service } from "./service-container.ts";

const TARGETS = JSON.stringify({ heartbeat: { hosts: [{ host: "127.0.0.1", port: 1 }] } });
const NOBODY_THERE = ["RABBITMQ_HOST=127.0.0.1", "RABBITMQ_PORT=1", "REDIS_HOST=127.0.0.1", "REDIS_PORT=1"];
const HURRY = ["--health-interval", "1s", "--health-start-period", "1ms", "--health-retries", "1"];

/** Runs a service, and its own health check each second. Returns the container's id. */
async function start(service: Service, ...env: readonly string[]): Promise<string> {
  const file = temporaryFile("publisher_config.json", TARGETS);
  const locked = ["--read-only", "--network", "none", "-v", `${file}:/publisher_config.json:ro`];
  const variables = [...NOBODY_THERE, ...env].flatMap((variable) => ["-e", variable]);
  const image = inject("images")[service];
  const id = await dockerOutput(["run", "-d", ...locked, ...HURRY, ...variables, image]);
  onTestFinished(async () => void (await docker(["rm", "-f", id])));
  return id;
}

const PATIENCE = { timeout: 30_000, interval: 250 };

/** What the engine says of it, and the check's last words. */
function healthOf(id: string) {
  return async () => {
    const { Status, Log } = JSON.parse(await dockerOutput(["inspect", "-f", "{{json .State.Health}}", id]));
    return { status: Status, said: Log.at(-1)?.Output };
  };
}

function is(status: "healthy" | "unhealthy", said: string) {
  return { status, said: expect.stringContaining(said) };
}

describe("the engine's health check of an image", () => {
  test.each([
    { service: "publisher", url: "http://127.0.0.1:8081/livez" },
    { service: "subscriber", url: "http://127.0.0.1:8080/livez" },
  ] as const)("finds a $service alive that reaches nobody", async ({ service, url }) => {
    const id = await start(service);
    await expect.poll(healthOf(id), PATIENCE).toEqual(is("healthy", `${url}: 200`));
  });

  test("finds out that a process hangs, and that it goes on", async () => {
    const id = await start("publisher");
    await expect.poll(healthOf(id), PATIENCE).toEqual(is("healthy", ": 200"));
    await dockerOutput(["kill", "--signal", "STOP", id]);
    await expect.poll(healthOf(id), PATIENCE).toEqual(is("unhealthy", ": no answer in time"));
    await dockerOutput(["kill", "--signal", "CONT", id]);
    await expect.poll(healthOf(id), PATIENCE).toEqual(is("healthy", ": 200"));
  });

  test("follows the service's variables", async () => {
    const id = await start("subscriber", "HTTP_HOST=127.0.0.2", "HTTP_PORT=9000");
    await expect.poll(healthOf(id), PATIENCE).toEqual(is("healthy", "http://127.0.0.2:9000/livez: 200"));
  });

  test("does not take a publisher for healthy that has no address to answer at", async () => {
    const id = await start("publisher", "HTTP_HOST=192.0.2.1");
    await expect.poll(healthOf(id), PATIENCE).toEqual(is("unhealthy", "http://192.0.2.1:8081/livez: "));
  });

  test("is content with a publisher that is to answer nowhere", async () => {
    const id = await start("publisher", "HTTP_PORT=0");
    await expect.poll(healthOf(id), PATIENCE).toEqual(is("healthy", "HTTP_PORT is 0"));
  });
});
