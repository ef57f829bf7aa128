import { constants } from "node:os";
import { ConfigError, EXIT_CONFIG } from "./config.ts";
import { handOverSignals } from "./early-signals.ts";
import { endProcess } from "./end-process.ts";
import { errorStack } from "./error-text.ts";
import { keepMemoryPrivate } from "./private-memory.ts";

/** sysexits.h: EX_USAGE. */
const EXIT_USAGE = 64;

/** What one `main.js` can do. */
export interface Program {
  /** The package's name and version. */
  readonly name: string;
  readonly version: string;
  /** What it is, in a sentence. */
  readonly summary: string;
  /** Runs without arguments: the service, which ends its process by itself. */
  readonly serve: () => Promise<void>;
  /** By name. */
  readonly commands: Readonly<Record<string, Command>>;
  /** The most important environment variables, with a few words about each. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface Command {
  /** Its arguments as the help shows them, such as `[FILE]`; empty when it has none. */
  readonly usage: string;
  readonly summary: string;
  /**
   * Resolves with the exit code. Rejects with UsageError, or with what node:util's parseArgs throws, for arguments that
   * it does not understand, and with ConfigError for a wrong configuration.
   */
  readonly run: (args: readonly string[]) => Promise<number>;
}

/** Arguments that the command does not understand. The message says what is wrong, in one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Runs the service or the command that `args` name, then ends the process when all output is written.
 * Exit codes: the command's own, 64 for arguments that nobody understands, 78 for a wrong configuration, 1 for a bug.
 */
export async function runProgram(program: Program, args: readonly string[]): Promise<void> {
  keepMemoryPrivate();
  if (args.length === 0) return await program.serve();
  // Whoever reads may leave before the end, as `head` does.
  for (const output of [process.stdout, process.stderr]) output.on("error", ignoreBrokenPipe);
  // As the first process of a container a program without listeners cannot be interrupted.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => endProcess(128 + constants.signals[signal]));
  }
  handOverSignals();
  const exitCode = await dispatch(program, args);
  // To a pipe it is written later: process.exit would cut it off.
  for (const output of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => output.write("", () => resolve()));
  }
  endProcess(exitCode);
}

async function dispatch(program: Program, [name = "", ...args]: readonly string[]): Promise<number> {
  try {
    const command = Object.hasOwn(program.commands, name) ? program.commands[name] : undefined;
    if (command) {
      const asksForHelp = args.includes("--help") || args.includes("-h");
      return asksForHelp ? print(commandHelp(name, command)) : await command.run(args);
    }
    const isHelp = HELP.has(name);
    if (!isHelp && name !== "--version") throw new UsageError("unknown command");
    if (args.length > 0) throw new UsageError("takes no arguments");
    return print(isHelp ? programHelp(program) : `${program.name} ${program.version}\n`);
  } catch (error) {
    return explain(name, error);
  }
}

const HELP: ReadonlySet<string> = new Set(["help", "--help", "-h"]);

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

/** Returns the exit code for a failure, having told it on stderr: without a stack trace when it is the caller's. */
function explain(name: string, error: unknown): number {
  if (error instanceof ConfigError) {
    process.stderr.write(`${error.message}\n`);
    return EXIT_CONFIG;
  }
  if (isUsageError(error)) {
    const [firstLine] = error.message.split("\n");
    process.stderr.write(`${name}: ${firstLine} (--help shows what there is)\n`);
    return EXIT_USAGE;
  }
  process.stderr.write(`${name} failed: ${errorStack(error)}\n`);
  return 1;
}

function isUsageError(error: unknown): error is Error {
  if (error instanceof UsageError) return true;
  return error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS_");
}

function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}

function programHelp({ name, version, summary, commands, variables }: Program): string {
  const list = Object.entries(commands).map(([name, { usage, summary }]) => [`${name} ${usage}`, summary]);
  return [
    `${name} ${version}: ${summary}`,
    "",
    "usage: main.js               runs the service until SIGTERM or SIGINT",
    "       main.js COMMAND ...   runs a command and ends",
    "",
    "commands:",
    ...columns([...list, ["help, --help, -h", "shows this"], ["--version", "shows name and version"]]),
    "",
    "The most important environment variables; README.md has them all under Configuration:",
    ...columns(Object.entries(variables)),
    "",
  ].join("\n");
}

function commandHelp(name: string, { usage, summary }: Command): string {
  return `usage: main.js ${`${name} ${usage}`.trimEnd()}\n${summary}\n`;
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const width = Math.max(...rows.map(([head = ""]) => head.length));
  return rows.map(([head = "", text]) => `  ${head.padEnd(width)}   ${text}`);
}
