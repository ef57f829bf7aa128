import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test, vi } from "vitest";

const MODULE = fileURLToPath(new URL("../src/private-memory.ts", import.meta.url));

/** A process that holds a secret in its memory and its environment, and then runs `body`. */
async function start(body: string, options: readonly string[] = []) {
  const source = `
    import { keepMemoryPrivate } from ${JSON.stringify(MODULE)};
    keepMemoryPrivate();
    const keepAlive = setInterval(() => {}, 1000);
    console.log("ready");
    ${body}`;
  const child = spawn(process.execPath, [...options, "--input-type=module", "--eval", source], {
    env: { RABBITMQ_PASS: "hunter2" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const errors = text(child.stderr);
  await once(child.stdout, "data");
  return { child, errors };
}

async function ended(child: ChildProcess): Promise<unknown> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode ?? child.signalCode;
}

test.runIf(process.platform === "linux")("no memory goes into a core file", async () => {
  const { child } = await start("");
  expect(Number(readFileSync(`/proc/${child.pid}/coredump_filter`, "utf8"))).toBe(0);
});

test("a diagnostic report has no environment in it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "report-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { child } = await start("", ["--report-on-signal", `--report-directory=${folder}`]);
  child.kill("SIGUSR2");
  const report = await vi.waitFor(
    () => {
      const [name = ""] = readdirSync(folder);
      const written = readFileSync(join(folder, name), "utf8");
      expect(JSON.parse(written)).toHaveProperty("header.trigger", "Signal");
      return written;
    },
    { timeout: 10_000 },
  );
  expect(report).not.toContain("hunter2");
});

test("SIGUSR1 opens no debugger", async () => {
  const { child, errors } = await start(
    `process.on("SIGUSR1", () => setTimeout(() => process.exit(0), 100));`,
  );
  child.kill("SIGUSR1");
  expect(await ended(child)).toBe(0);
  expect(await errors).toBe("");
});

test.each(["Promise.reject(refused)", "setTimeout(() => { throw refused; })"])(
  "%s ends with 1 and tells the stack, and nothing else that the error carries",
  async (failure) => {
    const { child, errors } = await start(`
      const cause = Object.assign(new Error("cause"), { command: { name: "auth", args: ["hunter2"] } });
      const refused = Object.assign(new Error("refused", { cause }), { password: "hunter2" });
      ${failure};`);
    expect(await ended(child)).toBe(1);
    expect(await errors).toMatch(/^Error: refused\n +at [^]*\ncaused by: Error: cause\n +at /);
    expect(await errors).not.toContain("hunter2");
  },
);
