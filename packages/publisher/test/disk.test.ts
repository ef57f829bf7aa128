import { mkdtempSync, rmSync, statfsSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type * as z from "zod";
import { disk, judged } from "../src/probes/disk.ts";
import { lookWith } from "./look-with.ts";

const folder = mkdtempSync(join(tmpdir(), "disk-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const look = (given: z.input<typeof disk.options>, signal?: AbortSignal) => lookWith(disk, given, signal);

const GIB = 1024 ** 3;
const free = statfsSync(folder);
const freeBytes = free.bavail * free.bsize;

describe("a disk", () => {
  test("with more space than it needs is up, and tells how much", async () => {
    const seen = await look({ path: folder, freeBytes: 1, freePercent: 0 });
    expect(seen).toMatchObject({ state: "up", latencyMs: expect.any(Number) });
    // Others write here, too.
    expect(Math.abs((seen.values?.free_bytes ?? 0) - freeBytes)).toBeLessThan(10 * GIB);
    expect(seen.values?.free_percent).toBeGreaterThan(0);
  });

  test.each([
    { freeBytes: freeBytes + 1_000 * GIB },
    { freePercent: 100 },
    { freeBytes: 1, freePercent: 100 },
  ])("with less than %o is down", async (limits) => {
    const seen = await look({ path: folder, ...limits });
    expect(seen).toMatchObject({ state: "down", reason: "disk_low" });
    expect(seen.detail).toMatch(/^[\d.]+ [KMGTP]?i?B free, [\d.]+ %$/);
    expect(seen.values?.free_bytes).toBeGreaterThan(0);
  });

  test.each([join(folder, "missing"), "/etc/passwd/missing"])("that is missing is down: %s", async (path) => {
    expect(await look({ path, freeBytes: 1 })).toMatchObject({ state: "down", reason: "path_missing" });
  });

  test("whose path can be used by nobody is down", async () => {
    const circle = join(folder, "circle");
    symlinkSync(circle, circle);
    const seen = await look({ path: circle, freeBytes: 1 });
    expect(seen).toMatchObject({ state: "down", reason: "path_missing" });
    expect(seen.detail).toContain("ELOOP");
  });

  test("without a size is unknown", async () => {
    const seen = await look({ path: "/proc", freeBytes: 1, mounted: true });
    expect(seen).toMatchObject({ state: "unknown", reason: "unexpected_answer" });
  });

  test("that is not asked in time is unknown", async () => {
    const seen = await look({ path: folder, freeBytes: 1 }, AbortSignal.abort());
    expect(seen).toMatchObject({ state: "unknown", reason: "timeout" });
  });
});

describe("a disk that must be mounted", () => {
  test("is up at a mount point, also by a link", async () => {
    const link = join(folder, "link");
    symlinkSync("/dev", link);
    for (const path of ["/", "/dev", "/dev/", link]) {
      expect(await look({ path, freeBytes: 1, mounted: true })).toMatchObject({ state: "up" });
    }
  });

  test("is down at an empty folder that something should be mounted on", async () => {
    const seen = await look({ path: folder, freeBytes: 1, mounted: true });
    expect(seen).toMatchObject({ state: "down", reason: "path_missing" });
  });
});

test.each([
  { freeBytes: 99, totalBytes: 1000, limits: { freeBytes: 100 }, state: "down" },
  { freeBytes: 100, totalBytes: 1000, limits: { freeBytes: 100 }, state: "up" },
  { freeBytes: 100, totalBytes: 1000, limits: { freePercent: 10 }, state: "up" },
  { freeBytes: 99, totalBytes: 1000, limits: { freePercent: 10 }, state: "down" },
  { freeBytes: 99, totalBytes: 1000, limits: { freeBytes: 1, freePercent: 10 }, state: "down" },
  { freeBytes: 100, totalBytes: 1000, limits: { freeBytes: 101, freePercent: 1 }, state: "down" },
  { freeBytes: 0, totalBytes: 1000, limits: { freeBytes: 1 }, state: "down" },
])("$freeBytes of $totalBytes free, of which $limits is needed, is $state", (row) => {
  const { limits, state, ...space } = row;
  expect(judged({ ...space, isMountPoint: false }, limits)).toMatchObject({ state });
});

describe("the free bytes of a disk", () => {
  test.each([
    [1, 1],
    [2.5e9, 2.5e9],
    ["1024", 1024],
    ["512B", 512],
    ["500MB", 500e6],
    ["500 MB", 500e6],
    ["1.5 kB", 1500],
    ["1 KB", 1000],
    ["20 GiB", 20 * GIB],
    ["0.5TiB", 512 * GIB],
    ["2 PB", 2e15],
  ])("may be %o", (given, bytes) => {
    expect(disk.options.parse({ path: "/", freeBytes: given }).freeBytes).toBe(bytes);
  });

  test.each([
    "",
    "GiB",
    "20 gib",
    "20 GiB ",
    "-1",
    "1e9",
    "20 XB",
    "20  GB",
    "9999999999 PB",
    0,
    -1,
    Infinity,
    NaN,
    true,
  ])("may not be %o", (given) => {
    const { error } = disk.options.safeParse({ path: "/", freeBytes: given });
    expect(error?.issues[0]?.message).toContain("expected bytes");
  });
});

test.each([
  { given: { path: "/" }, problem: /freePercent; one of the two is needed/ },
  { given: { path: "data", freeBytes: 1 }, problem: /absolute path/ },
  { given: { path: "/", freePercent: 101 }, problem: /0 to 100/ },
  { given: { path: "/", freeBytes: 1, limit: 2 }, problem: /limit/ },
])("the options of a disk refuse $given", ({ given, problem }) => {
  expect(disk.options.safeParse(given).error?.issues[0]?.message).toMatch(problem);
});
