import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, inject, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };

const run = promisify(execFile);

async function docker(...args: string[]): Promise<string> {
  return (await run("docker", args)).stdout;
}

describe.each(["publisher", "subscriber"] as const)("the image of the %s", (service) => {
  test("runs its command as nobody, on a read-only file system, without a capability", async () => {
    const locked = ["--read-only", "--cap-drop", "ALL", "--user", "65532"];
    expect(await docker("run", "--rm", ...locked, inject("images")[service], "--version")).toBe(
      `@pipeline-heartbeat/${service} ${packageJson.version}\n`,
    );
  });

  test("says what it is in its labels", async () => {
    const [inspected] = JSON.parse(await docker("image", "inspect", inject("images")[service]));
    expect(inspected.Config).toMatchObject({
      User: "65532:65532",
      Labels: {
        "org.opencontainers.image.title": `pipeline-heartbeat-${service}`,
        "org.opencontainers.image.version": packageJson.version,
        "org.opencontainers.image.licenses": "MIT",
      },
    });
  });
});
