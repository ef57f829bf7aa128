import {
  type ChildProcessWithoutNullStreams,
  spawn,
  type SpawnOptionsWithoutStdio,
} from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions extends SpawnOptionsWithoutStdio {
  /** All that is written to its stdin. */
  readonly input?: string | undefined;
  /** For who may have to end it. */
  readonly started?: (child: ChildProcessWithoutNullStreams) => void;
}

/** Runs a program to its end. Rejects when it cannot be started. */
export async function runToEnd(
  program: string,
  args: readonly string[],
  { input = "", started, ...options }: RunOptions,
): Promise<Ended> {
  const child = spawn(program, args, options);
  started?.(child);
  const closed = once(child, "close");
  child.stdin.on("error", () => {}); // it may end without having read
  child.stdin.end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { exitCode: child.exitCode, stdout, stderr };
}
