import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const SERVICE = fileURLToPath(new URL("../src/service.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../src/config.ts", import.meta.url));

/** Runs `body` as the main of a service, in a real process. */
function start(body: string): ChildProcess & { output: Promise<string>; errors: Promise<string> } {
  const source = `
    import { runService } from ${JSON.stringify(SERVICE)};
    import { ConfigError } from ${JSON.stringify(CONFIG)};
    const keepAlive = setInterval(() => {}, 1000);
    await runService({ name: "test", logLevel: "warn" }, async ({ stopping, onStop, log }) => { ${body} });`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: "pipe" });
  onTestFinished(() => void child.kill("SIGKILL"));
  return Object.assign(child, { output: text(child.stdout), errors: text(child.stderr) });
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, "exit");
  return child.exitCode;
}

test("an error is logged with its stack and causes, and with nothing else that it carries", async () => {
  const child = start(`
    const command = { name: "auth", args: ["hunter2"] };
    const failed = (text) => Object.assign(new Error(text, { cause: new Error("WRONGPASS") }), { command });
    onStop(() => { throw failed("not released"); });
    throw failed("not started");`);
  expect(await exitCode(child)).toBe(1);
  const output = await child.output;
  for (const told of ["not started", "not released", "caused by: Error: WRONGPASS"]) {
    expect(output).toContain(told);
  }
  expect(output).not.toContain("hunter2");
});

test("a signal releases in reverse order and ends with 0", async () => {
  const child = start(`
    onStop(() => console.log("first"));
    onStop(async () => { await new Promise((resolve) => setTimeout(resolve, 50)); console.log("second"); });
    console.log("ready");`);
  await once(child.stdout ?? child, "data");
  child.kill("SIGTERM");
  expect(await exitCode(child)).toBe(0);
  expect((await child.output).trim().split("\n")).toEqual(["ready", "second", "first"]);
});

test("a log that nobody reads any more does not keep a service from ending", async () => {
  const child = start(`
    onStop(() => log.warn("one line"));
    onStop(() => log.warn("and another"));
    console.log("ready");`);
  await once(child.stdout ?? child, "data");
  child.output.catch(() => {}); // it is cut off
  child.stdout?.destroy();
  child.kill("SIGTERM");
  expect(await exitCode(child)).toBe(0);
});

test("a failing release does not keep the others from running", async () => {
  const child = start(`
    onStop(() => console.log("first"));
    onStop(() => { throw new Error("boom"); });
    console.log("ready");`);
  await once(child.stdout ?? child, "data");
  child.kill("SIGTERM");
  expect(await exitCode(child)).toBe(0);
  const output = await child.output;
  expect(output).toContain("boom");
  expect(output).toContain("first");
});

test("a second signal ends a stop that hangs", async () => {
  const child = start(
    `onStop(() => { console.log("hanging"); return new Promise(() => {}); }); console.log("ready");`,
  );
  const output = child.stdout ?? child;
  await once(output, "data");
  child.kill("SIGTERM");
  await once(output, "data");
  child.kill("SIGTERM");
  expect(await exitCode(child)).toBe(1);
});

test("a configuration error ends with 78 and its problems on stderr, without a stack trace", async () => {
  const child = start(
    `throw new ConfigError("configuration error", ["PORT: expected a port", "HOST: is empty"]);`,
  );
  expect(await exitCode(child)).toBe(78);
  expect(await child.errors).toBe("configuration error:\n  PORT: expected a port\n  HOST: is empty\n");
});

test("any other failure is a bug: it is logged, what was acquired is released, and it ends with 1", async () => {
  const child = start(`onStop(() => console.log("released")); throw new Error("boom");`);
  expect(await exitCode(child)).toBe(1);
  const output = await child.output;
  expect(output).toContain("boom");
  expect(output).toContain("released");
});
