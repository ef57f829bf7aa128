import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { temporaryFile } from "../../test/processes.ts";
import { docker } from "./docker.ts";
import type { Service } from "./service-container.ts";

const locked = ["--rm", "--read-only", "--cap-drop", "ALL", "--user", "65532", "--network", "none"];

async function run(service: Service, options: readonly string[], args: readonly string[] = [], input = "") {
  return await docker(["run", "-i", ...locked, ...options, inject("images")[service], ...args], { input });
}

describe("a wrong configuration in a container", () => {
  test("ends it with 78 and a line for each problem, without a stack trace", async () => {
    const env = ["-e", "RABBITMQ_PORT=hunter2", "-e", "HEARTBEAT_MODE=subscriber"];
    const { exitCode, stdout, stderr } = await run("publisher", env);
    expect({ exitCode, stdout }).toEqual({ exitCode: 78, stdout: "" });
    expect(stderr.trimEnd().split("\n").toSorted()).toEqual([
      "  HEARTBEAT_MODE: asks for the subscriber, this is the publisher: use the subscriber's image",
      "  PUBLISHER_CONFIG_PATH: /publisher_config.json does not exist",
      "  RABBITMQ_PORT: expected a port, 1 to 65535",
      "configuration error:",
    ]);
  });

  test("by Kubernetes is told as such", async () => {
    const { exitCode, stderr } = await run("subscriber", ["-e", "REDIS_PORT=tcp://10.0.0.7:6379"]);
    expect(exitCode).toBe(78);
    expect(stderr).toMatch(/^configuration error:\n {2}REDIS_PORT: .*enableServiceLinks: false.*\n$/);
  });

  test("a file that only its owner may read is told with the user id that tried", async () => {
    const path = temporaryFile("publisher_config.json", "{}");
    chmodSync(path, 0o600);
    const { exitCode, stderr } = await run("publisher", ["-v", `${path}:/publisher_config.json:ro`]);
    expect(exitCode).toBe(78);
    expect(stderr).toBe(
      "configuration error:\n" +
        "  PUBLISHER_CONFIG_PATH: /publisher_config.json cannot be read by user id 65532: permission denied\n",
    );
  });
});

describe("a command in a container", () => {
  test("reads what is piped into it", async () => {
    const config = JSON.stringify({ heartbeat: { hosts: [{ host: "db", port: 5432, nmae: "sda-db" }] } });
    const { exitCode, stdout, stderr } = await run("publisher", [], ["check-config", "-"], config);
    expect(exitCode).toBe(78);
    expect(stdout + stderr).toContain("nmae");
  });

  test.each([
    { signal: "SIGINT", exitCode: 130 },
    { signal: "SIGTERM", exitCode: 143 },
  ] as const)("as the first process ends on $signal, with $exitCode", async ({ signal, exitCode }) => {
    const name = `heartbeat-test-${randomBytes(6).toString("hex")}`;
    onTestFinished(async () => void (await docker(["rm", "-f", name])));
    const asks = ["run", "-i", "--name", name, ...locked, inject("images").publisher, "check-config", "-"];
    const child = spawn("docker", asks, { stdio: ["pipe", "pipe", "pipe"] });
    const closed = once(child, "close");
    // What comes before it listens is lost on the first process of a container.
    const kill = async () => {
      await docker(["kill", "--signal", signal, name]);
      expect(child.exitCode).not.toBeNull();
    };
    await vi.waitFor(kill, { timeout: 20_000, interval: 250 });
    await closed;
    expect(child.exitCode).toBe(exitCode);
  });
});
