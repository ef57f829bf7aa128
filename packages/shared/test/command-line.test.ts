import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";

const COMMAND_LINE = fileURLToPath(new URL("../src/command-line.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../src/config.ts", import.meta.url));

/** More than a pipe holds. */
const LONG = 300_000;

/** A program with commands of every kind, in a real process. */
function start(...args: string[]): ChildProcessWithoutNullStreams {
  const source = `
    import { parseArgs } from "node:util";
    import { runProgram, UsageError } from ${JSON.stringify(COMMAND_LINE)};
    import { ConfigError } from ${JSON.stringify(CONFIG)};
    // What a command leaves open must not keep the process.
    const open = setInterval(() => {}, 1_000);
    const command = (usage, run) => ({ usage, summary: "is of use", run });
    await runProgram({
      name: "example",
      version: "1.2.3",
      summary: "shows how it is done",
      serve: async () => { console.log("serving"); clearInterval(open); },
      commands: {
        greet: command("NAME", async (args) => {
          const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
          if (positionals.length !== 1) throw new UsageError("expected one name");
          console.log("hello " + positionals[0]);
          return 0;
        }),
        refuse: command("", async () => 5),
        configure: command("", async () => { throw new ConfigError("configuration error", ["PORT: is empty"]); }),
        crash: command("", async () => { throw new Error("boom"); }),
        wait: command("", () => { console.log("waiting"); return new Promise(() => {}); }),
        talk: command("", async () => { process.stdout.write("x".repeat(${LONG})); return 3; }),
      },
      variables: { RABBITMQ_HOST: "the broker (localhost)" },
    }, process.argv.slice(1));`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", source, "--", ...args]);
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function run(...args: string[]) {
  const child = start(...args);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (child.exitCode === null) await once(child, "exit");
  return { exitCode: child.exitCode, stdout, stderr };
}

test("without arguments the service runs", async () => {
  expect(await run()).toEqual({ exitCode: 0, stdout: "serving\n", stderr: "" });
});

test.each(["--help", "-h", "help"])(
  "%s tells what it is, its commands and where the variables are",
  async (name) => {
    const { exitCode, stdout, stderr } = await run(name);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toContain("example 1.2.3: shows how it is done\n");
    expect(stdout).toMatch(/^ {2}greet NAME +is of use$/m);
    expect(stdout).toMatch(/^ {2}RABBITMQ_HOST +the broker \(localhost\)$/m);
    expect(stdout).toContain("README.md");
    expect(stdout).not.toMatch(/ $/m);
  },
);

test("--version tells name and version", async () => {
  expect(await run("--version")).toEqual({ exitCode: 0, stdout: "example 1.2.3\n", stderr: "" });
});

describe("a command", () => {
  test("gets its arguments", async () => {
    expect(await run("greet", "Kari")).toEqual({ exitCode: 0, stdout: "hello Kari\n", stderr: "" });
  });

  test.each(["--help", "-h"])("with %s says how it is called", async (option) => {
    const { exitCode, stdout } = await run("greet", option);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "usage: main.js greet NAME\nis of use\n" });
  });

  test("gives the exit code", async () => {
    expect(await run("refuse")).toEqual({ exitCode: 5, stdout: "", stderr: "" });
  });

  test("with a wrong configuration tells the problems and ends with 78", async () => {
    const stderr = "configuration error:\n  PORT: is empty\n";
    expect(await run("configure")).toEqual({ exitCode: 78, stdout: "", stderr });
  });

  test("that fails otherwise is a bug, told with its trace", async () => {
    const { exitCode, stderr } = await run("crash");
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^crash failed: Error: boom\n {4}at /);
  });
});

// The first process of a container is deaf to a signal that it does not listen for: it must not be left to the default.
test.each([
  { signal: "SIGINT", code: 130 },
  { signal: "SIGTERM", code: 143 },
] as const)("a command ends by itself on $signal, with $code", async ({ signal, code }) => {
  const child = start("wait");
  await once(child.stdout, "data");
  child.kill(signal);
  expect(await once(child, "exit")).toEqual([code, null]);
});

test.each([
  { what: "an unknown command", args: ["frobnicate"], told: "frobnicate: unknown command" },
  { what: "an unknown option", args: ["--frobnicate"], told: "--frobnicate: unknown command" },
  { what: "an inherited name", args: ["constructor"], told: "constructor: unknown command" },
  { what: "a missing argument", args: ["greet"], told: "greet: expected one name" },
  {
    what: "an unknown option of a command",
    args: ["greet", "--loud"],
    told: "greet: Unknown option '--loud'",
  },
  { what: "too much", args: ["--version", "please"], told: "--version: takes no arguments" },
])("$what is told in one line, with the way to help, and ends with 64", async ({ args, told }) => {
  const { exitCode, stdout, stderr } = await run(...args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: "" });
  expect(stderr).toContain(told);
  expect(stderr).toMatch(/^.*--help.*\n$/);
});

describe("into a pipe", () => {
  test("all of the output arrives, however late it is read", async () => {
    const child = start("talk");
    // The first piece of it, then nothing is read for as long as the process would need to end.
    const { promise: filled, resolve } = Promise.withResolvers<void>();
    child.stdout.once("readable", resolve);
    await filled;
    const output = await text(child.stdout);
    expect(output).toHaveLength(LONG);
    if (child.exitCode === null) await once(child, "exit");
    expect(child.exitCode).toBe(3);
  });

  test("whose reader has left it ends as ever, without a trace", async () => {
    const child = start("talk");
    const stderr = text(child.stderr);
    child.stdout.destroy();
    if (child.exitCode === null) await once(child, "exit");
    expect({ exitCode: child.exitCode, stderr: await stderr }).toEqual({ exitCode: 3, stderr: "" });
  });
});
