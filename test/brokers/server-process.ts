import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const LOG_TAIL_LINES = 20;

/** Learns process groups, one number a line, and at the end of its input ends them and removes the folder `$1`. */
const GUARD = `
  while read -r group; do groups="$groups $group"; done
  for group in $groups; do kill -s KILL -- "-$group"; done
  rm -rf "$1" || { sleep 1; rm -rf "$1"; }`;

export interface Command {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly folder: string;
}

export interface TemporaryFolder {
  readonly path: string;
  /** Has this process ended when ours is killed. */
  readonly guard: (pid: number) => void;
  readonly remove: () => Promise<void>;
}

export interface ServerProcess {
  readonly pid: number | undefined;
  /** Rejects, with the end of the log, when the process ends or cannot be started; never resolves. */
  readonly failed: Promise<never>;
  readonly logTail: () => string;
  readonly stop: () => Promise<void>;
}

/**
 * A new empty folder that only this user can read. A guard, which lives as long as we do, removes it and ends the
 * servers in it should we be killed, or leave by a `process.exit` that waits for nobody.
 */
export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), "brokers-"));
  const stdio = ["pipe", "ignore", "ignore"] as const;
  const guard = spawn("/bin/sh", ["-c", GUARD, "guard", path], { stdio: [...stdio], detached: true });
  // It is there for accidents: without it the servers run as well.
  guard.on("error", () => {});
  guard.stdin?.on("error", () => {});
  return {
    path,
    guard: (pid) => void guard.stdin?.write(`${pid}\n`),
    remove: async () => {
      guard.kill("SIGKILL");
      // Erlang's helpers still write for a moment after its end.
      await rm(path, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

/**
 * Runs a server, which is ended with SIGKILL: a private server keeps nothing worth saving, and a RabbitMQ that is asked
 * politely takes six seconds.
 */
export function startServer(command: Omit<Command, "folder">, folder: TemporaryFolder): ServerProcess {
  const { child, exited, logFile } = spawnApart({ ...command, folder: folder.path });
  if (child.pid) folder.guard(child.pid);
  const failed = exited.then((how) => {
    throw new Error(`${command.name}: ended (${how})\n${logTail(logFile)}`);
  });
  // Nobody may be listening when the process is ended on purpose.
  failed.catch(() => {});

  async function stop(): Promise<void> {
    if (child.pid && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, "SIGKILL");
    await exited;
  }
  return { pid: child.pid, failed, logTail: () => logTail(logFile), stop };
}

/**
 * Spawns in a process group of its own: a Ctrl-C in the terminal goes to us alone, and we decide what ends when.
 * `exited` tells how it ended.
 */
export function spawnApart({ name, program, args, env, folder }: Command): {
  child: ChildProcess;
  exited: Promise<string>;
  logFile: string;
} {
  const logFile = join(folder, `${name}.log`);
  const log = openSync(logFile, "a");
  const child = spawn(program, args, { cwd: folder, env, stdio: ["ignore", log, log], detached: true });
  closeSync(log);
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  return { child, exited, logFile };
}

export function logTail(logFile: string): string {
  return readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
}
