import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** What a worker is told, and what it tells. */
export type Order = "consume" | "reopen";
export type Report = "connected" | "consuming";

/** A worker on one queue, in a process of its own. */
export interface Worker {
  readonly name: string;
  readonly queue: string;
  /** Resolves when it consumes. */
  start(): Promise<void>;
  /** Another process takes its place, so long after its end. */
  redeploy(goneMs: number): Promise<void>;
  /** It consumes on another channel, with another tag. */
  reopenChannel(): Promise<void>;
  /** It keeps its connection, and does nothing any more. */
  stop(): void;
  /** It is gone, and nobody takes its place. */
  kill(): Promise<void>;
}

export interface WorkerOptions {
  readonly name: string;
  readonly queue: string;
  readonly url: string;
  /** Has the process with this number ended when the soak is killed. */
  readonly guard: (pid: number) => void;
}

const PROGRAM = fileURLToPath(new URL("worker.ts", import.meta.url));
const REPORT_WITHIN_MS = 20_000;

export function workerProcess({ name, queue, url, guard }: WorkerOptions): Worker {
  let current: ChildProcess | undefined;

  /** Connected, and not consuming yet. */
  async function prepared(): Promise<ChildProcess> {
    // In a process group of its own: a Ctrl-C at the terminal reaches the soak alone.
    const child = fork(PROGRAM, [url, queue, name], { detached: true, env: {}, stdio: "inherit" });
    if (child.pid !== undefined) guard(child.pid);
    try {
      await told(child, "connected");
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    return child;
  }

  async function ended(signal: NodeJS.Signals): Promise<void> {
    const ending = current;
    current = undefined;
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) return;
    const exited = once(ending, "exit");
    ending.kill(signal);
    await exited;
  }

  return {
    name,
    queue,
    async start() {
      current = await prepared();
      await order(current, "consume");
    },
    async redeploy(goneMs) {
      const next = await prepared();
      await ended("SIGTERM");
      await sleep(goneMs);
      current = next;
      await order(next, "consume");
    },
    async reopenChannel() {
      if (current) await order(current, "reopen");
    },
    stop: () => void current?.kill("SIGSTOP"),
    kill: () => ended("SIGKILL"),
  };
}

async function order(child: ChildProcess, what: Order): Promise<void> {
  const done = told(child, "consuming");
  child.send(what);
  await done;
}

/** Resolves when it says so. */
async function told(child: ChildProcess, report: Report): Promise<void> {
  const signal = AbortSignal.timeout(REPORT_WITHIN_MS);
  for (;;) {
    const [message]: unknown[] = await once(child, "message", { signal });
    if (message === report) return;
  }
}
