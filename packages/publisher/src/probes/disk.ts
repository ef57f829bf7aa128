import { realpath, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { errorCode } from "@pipeline-heartbeat/shared/error-code.ts";
import { errorText } from "@pipeline-heartbeat/shared/error-text.ts";
import * as z from "zod";
import { probeKind } from "../probe-kind.ts";
import type { Observation } from "../probe.ts";
import { filePath } from "./options.ts";
import { inTime, sharedQuestion } from "./shared-question.ts";
import { timed } from "./timed.ts";

/** A file system that hangs, as of a server that is gone, holds one of the threads on which names are looked up, too. */
const MAX_AT_ONCE = 8;
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;
const BINARY_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const BYTES = /^(\d{1,15}(?:\.\d{1,9})?) ?([kKMGTP]?B|[KMGTP]iB)?$/;

const options = z
  .strictObject({
    path: filePath().describe("an absolute path on it"),
    freeBytes: bytes()
      .optional()
      .describe('at least so much must be free: bytes, or a text such as "20 GiB" or "500 MB"'),
    freePercent: percent().optional().describe("at least so much of it must be free, 0 to 100"),
    mounted: z
      .boolean("expected true or false")
      .optional()
      .describe("whether another file system must begin at the path: an empty mount point is down (false)"),
  })
  .refine(({ freeBytes, freePercent }) => freeBytes !== undefined || freePercent !== undefined, {
    path: ["freeBytes"],
    message: "is missing, and so is freePercent; one of the two is needed",
  });

/** Up when the file system of a path has space left for who is not root. */
export const disk = probeKind({
  summary: "a file system with enough free space",
  kind: "service",
  asks: "component",
  options,
  values: { free_bytes: "free space in bytes", free_percent: "free space in percent, as df counts it" },
  start: (options) => timed((signal) => lookAt(options, signal)),
});

export type Limits = Omit<z.output<typeof options>, "path">;

/** What the system tells of a path. */
export interface Space {
  readonly freeBytes: number;
  /** That may be written to at all: what is kept for root is not counted. Nothing in file systems that have no size. */
  readonly totalBytes: number;
  readonly isMountPoint: boolean;
}

/** All disks' questions: a path that hangs is asked about once, however often it is looked at or the file is read. */
const spaceOf = sharedQuestion(askSystem, MAX_AT_ONCE);

async function lookAt(
  { path, ...limits }: z.output<typeof options>,
  signal: AbortSignal,
): Promise<Observation> {
  try {
    return judged(await inTime(spaceOf(path), signal), limits);
  } catch (error) {
    if (signal.aborted) return { state: "unknown", reason: "timeout", detail: errorText(error) };
    const code = errorCode(error);
    if (code === undefined) return { state: "unknown", reason: "probe_failed", detail: errorText(error) };
    return failed(path, code);
  }
}

async function askSystem(path: string): Promise<Space> {
  const { bsize, frsize, blocks, bfree, bavail } = await statfs(path, { bigint: true });
  // Older systems tell no size of a fragment, which is what is counted.
  const blockBytes = Number(frsize || bsize);
  return {
    freeBytes: Number(bavail) * blockBytes,
    totalBytes: Number(blocks - bfree + bavail) * blockBytes,
    isMountPoint: await isMountPoint(path),
  };
}

async function isMountPoint(path: string): Promise<boolean> {
  const own = await realpath(path);
  const [here, above] = await Promise.all([stat(own), stat(dirname(own))]);
  // Nothing is above the root.
  return here.dev !== above.dev || here.ino === above.ino;
}

function failed(path: string, code: string): Observation {
  if (code === "ENOENT" || code === "ENOTDIR") {
    return { state: "down", reason: "path_missing", detail: `${path} does not exist` };
  }
  if (code === "EACCES" || code === "EPERM") {
    return { state: "unknown", reason: "file_unreadable", detail: `${path}: permission denied` };
  }
  // Such as ENOTCONN, ESTALE and EIO of a file system whose server is gone.
  return { state: "down", reason: "path_missing", detail: `${path} cannot be used (${code})` };
}

/** What is believed of a file system with so much space. */
export function judged({ freeBytes, totalBytes, isMountPoint }: Space, limits: Limits): Observation {
  if (limits.mounted && !isMountPoint) {
    return { state: "down", reason: "path_missing", detail: "no other file system is mounted there" };
  }
  if (totalBytes === 0) {
    return { state: "unknown", reason: "unexpected_answer", detail: "the file system has no size" };
  }
  const freePercent = (100 * freeBytes) / totalBytes;
  const isLow = freeBytes < (limits.freeBytes ?? 0) || freePercent < (limits.freePercent ?? 0);
  const values = { free_bytes: freeBytes, free_percent: Math.floor(freePercent * 10) / 10 };
  if (!isLow) return { state: "up", values };
  const detail = `${inUnits(freeBytes)} free, ${values.free_percent} %`;
  return { state: "down", reason: "disk_low", detail, values };
}

function inUnits(bytes: number): string {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), BINARY_UNITS.length - 1);
  return `${Math.floor((bytes / 1024 ** power) * 10) / 10} ${BINARY_UNITS[power]}`;
}

/** Parsed to a number of bytes. */
function bytes() {
  const expected = 'expected bytes, as a number from 1 or a text such as "20 GiB" or "500 MB"';
  const text = z.string().regex(BYTES, expected).transform(bytesOf);
  return z
    .union([z.number(), text], expected)
    .pipe(z.number(expected).min(1, expected).max(Number.MAX_SAFE_INTEGER, expected));
}

function bytesOf(text: string): number {
  const [, number, unit = "B"] = BYTES.exec(text) ?? [];
  const decimal = UNITS.findIndex((each) => each.toLowerCase() === unit.toLowerCase());
  const binary = BINARY_UNITS.findIndex((each) => each === unit);
  return Math.ceil(Number(number) * (decimal < 0 ? 1024 ** binary : 1000 ** decimal));
}

function percent() {
  const expected = "expected a number, 0 to 100";
  return z.number(expected).min(0, expected).max(100, expected);
}
