import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Proxy } from "../test/proxy.ts";

/** One run of a service, from its start to its end. */
export interface Lifetime {
  /** Of the service with the number of the run: `publisher-south.2`. */
  readonly name: string;
  readonly startedAtMs: number;
  readonly logFile: string;
  readonly stderrFile: string;
  /** What was asked of it last: undefined while it is to run. */
  asked: NodeJS.Signals | undefined;
  askedAtMs: number | undefined;
  endedAtMs: number | undefined;
  /** How it ended: a signal's name or an exit code. */
  ended: string | undefined;
  /** Resident memory, once a second, in bytes. */
  readonly rssBytes: number[];
}

/** A service that runs from its built bundle, and everything between it and the servers. */
export interface ServiceProcess {
  readonly name: string;
  readonly role: "publisher" | "subscriber";
  /** Where it answers. */
  readonly url: string;
  readonly proxies: Readonly<Record<"broker" | "redis" | "management", Proxy | undefined>>;
  readonly lifetimes: readonly Lifetime[];
  readonly isRunning: boolean;
  start(): Promise<void>;
  /** Resolves when it has ended; after 10 s a SIGTERM becomes a SIGKILL, which then stands in `ended`. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Notes what memory it holds now. */
  sampleMemory(): Promise<void>;
}

export interface ServiceOptions extends Pick<ServiceProcess, "name" | "role" | "url" | "proxies"> {
  readonly bundle: string;
  readonly env: Readonly<Record<string, string>>;
  readonly logFolder: string;
  /** Has the process with this number ended when the soak is killed. */
  readonly guard: (pid: number) => void;
}

const STOP_WITHIN_MS = 10_000;

export function serviceProcess(options: ServiceOptions): ServiceProcess {
  const { name, bundle, env, logFolder } = options;
  const lifetimes: Lifetime[] = [];
  let child: ChildProcess | undefined;
  let current: Lifetime | undefined;

  async function start(): Promise<void> {
    if (current) return;
    const lifetime: Lifetime = {
      name: `${name}.${lifetimes.length + 1}`,
      startedAtMs: Date.now(),
      logFile: join(logFolder, `${name}.${lifetimes.length + 1}.log`),
      stderrFile: join(logFolder, `${name}.${lifetimes.length + 1}.stderr`),
      asked: undefined,
      askedAtMs: undefined,
      endedAtMs: undefined,
      ended: undefined,
      rssBytes: [],
    };
    const [log, stderr] = [openSync(lifetime.logFile, "a"), openSync(lifetime.stderrFile, "a")];
    // In a process group of its own: a Ctrl-C at the terminal reaches the soak alone.
    const spawned = spawn(process.execPath, [bundle], {
      env,
      detached: true,
      stdio: ["ignore", log, stderr],
    });
    closeSync(log);
    closeSync(stderr);
    spawned.once("exit", (code, signal) => {
      lifetime.endedAtMs = Date.now();
      lifetime.ended = signal ?? `exit code ${code}`;
      if (current === lifetime) current = undefined;
    });
    lifetimes.push(lifetime);
    [child, current] = [spawned, lifetime];
    await once(spawned, "spawn");
    if (spawned.pid !== undefined) options.guard(spawned.pid);
  }

  return {
    ...options,
    lifetimes,
    get isRunning() {
      return current !== undefined;
    },
    start,
    async end(signal) {
      if (!child || !current) return;
      const [ending, exited] = [child, once(child, "exit")];
      current.asked = signal;
      current.askedAtMs = Date.now();
      ending.kill(signal);
      const timer = setTimeout(() => ending.kill("SIGKILL"), STOP_WITHIN_MS);
      await exited;
      clearTimeout(timer);
    },
    async sampleMemory() {
      const [sampled, pid] = [current, child?.pid];
      if (!sampled || pid === undefined) return;
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""); // it has just ended
      const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(status) ?? [];
      if (kilobytes !== undefined) sampled.rssBytes.push(Number(kilobytes) * 1024);
    },
  };
}

/** The lines of a log, parsed. */
export function readLog(file: string): LogLine[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line !== "").map(parseLine);
}

export interface LogLine {
  /** As pino has them: 40 warn, 50 error, 60 fatal. */
  readonly level: number;
  /** Unix milliseconds. */
  readonly time: number;
  readonly msg: string;
  readonly cause?: unknown;
}

/** What is no line of a log, as the last one of a process that was killed, is one without a level. */
function parseLine(line: string): LogLine {
  try {
    const parsed: LogLine = JSON.parse(line);
    return parsed;
  } catch {
    return { level: 0, time: 0, msg: line };
  }
}
