import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { readTextFile, type TextFile } from "@pipeline-heartbeat/shared/config.ts";
import type { Logger } from "pino";
import { difference, inForce } from "./in-force.ts";
import { parseTargets } from "./parse-file.ts";
import type { BasePolicy } from "./policy-options.ts";
import type { Targets } from "./targets.ts";

/** Twice this, and then the first looks, and the new file is what is told. */
const READ_EVERY_MS = 2_000;
/** More than twice what a heartbeat has room for. A file so large is a mistake, and parsing it could take all memory. */
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_TOLD = 20;

export interface ReloadOptions {
  readonly path: string;
  /** What the file held, and what that means, when we started. */
  readonly text: string;
  readonly targets: Targets;
  readonly base: BasePolicy;
  /** Looks at these from now on. */
  readonly replace: (targets: Targets) => Promise<void>;
  readonly log: Logger;
  readonly readEveryMs?: number;
}

export interface Reload {
  /** False while the file that is there is not the one in force. */
  readonly isInForce: boolean;
  /** Unix milliseconds: since when the file in force is. */
  readonly loadedAtMs: number;
  /** Reads the file again and again until the signal is aborted. */
  follow(stopping: AbortSignal): void;
}

/**
 * Takes over what publisher_config.json says when it changes; what cannot be used leaves in force what is. The file is
 * read, not watched: of a ConfigMap, whose folder is swapped, of a file that is mounted alone, and over a network nothing
 * else tells reliably.
 */
export function configReload(options: ReloadOptions): Reload {
  const { path, base, log } = options;
  let { targets } = options;
  let inForceKey = keyOf({ ok: true, text: options.text });
  let lastKey = inForceKey;
  let judgedKey = inForceKey;
  let isInForce = true;
  let loadedAtMs = Date.now();

  async function readOnce(): Promise<void> {
    const file = await readRegularFile(path);
    const key = keyOf(file);
    // It may be half-written: what counts is what was the same twice.
    const isSteady = key === lastKey;
    lastKey = key;
    if (!isSteady || key === judgedKey) return;
    judgedKey = key;
    isInForce = key === inForceKey;
    if (isInForce) log.info({ path }, "publisher_config.json is again the one in force");
    else judge(file, key);
  }

  function judge(file: TextFile, key: string): void {
    if (!file.ok) return refuse([file.problem]);
    const parsed = parseTargets(file.text);
    if (!parsed.ok) return refuse(parsed.problems);
    const [before, after] = [inForce(targets, base), inForce(parsed.targets, base)];
    options.replace(parsed.targets).catch((error: unknown) => log.error({ err: error }, "looking failed"));
    [targets, inForceKey, isInForce, loadedAtMs] = [parsed.targets, key, true, Date.now()];
    const warnings = [...parsed.ignored, ...parsed.warnings];
    log.info(
      { path, components: after.length, ...difference(before, after), warnings: warnings.length },
      "publisher_config.json reloaded",
    );
    for (const warning of firstOf(warnings)) log.warn({ warning }, "configuration warning");
  }

  function refuse(problems: readonly string[]): void {
    log.warn(
      { path, problems: firstOf(problems) },
      "publisher_config.json not reloaded, the one before goes on",
    );
  }

  async function run(stopping: AbortSignal): Promise<void> {
    const { readEveryMs = READ_EVERY_MS } = options;
    while (!stopping.aborted) {
      await sleep(readEveryMs, undefined, { signal: stopping, ref: false }).catch(() => {}); // the loop ends
      if (stopping.aborted) return;
      try {
        await readOnce();
      } catch (error) {
        log.error({ err: error }, "reloading failed");
      }
    }
  }

  return {
    get isInForce() {
      return isInForce;
    },
    get loadedAtMs() {
      return loadedAtMs;
    },
    follow: (stopping) => void run(stopping),
  };
}

/** Whatever else it is, such as a pipe, could keep whoever reads it for ever. */
async function readRegularFile(path: string): Promise<TextFile> {
  const found = await stat(path).catch(() => undefined); // reading it tells why
  if (found && !found.isFile() && !found.isDirectory())
    return { ok: false, problem: `${path} is no regular file` };
  if (found && found.size > MAX_FILE_BYTES) {
    return { ok: false, problem: `${path} is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB` };
  }
  return readTextFile(path);
}

function keyOf(file: TextFile): string {
  return file.ok ? createHash("sha256").update(file.text).digest("hex") : file.problem;
}

function firstOf(lines: readonly string[]): string[] {
  const first = lines.slice(0, MAX_TOLD);
  const more = lines.length - first.length;
  return more > 0 ? [...first, `and ${more} more`] : first;
}
