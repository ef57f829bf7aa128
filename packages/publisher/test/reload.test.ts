import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import * as z from "zod";
import { BASE } from "./watched.ts";
import { parseTargets } from "../src/parse-file.ts";
import { configReload } from "../src/reload.ts";
import type { Targets } from "../src/targets.ts";

const READ_EVERY_MS = 20;

interface File {
  readonly heartbeat: object;
}

const hosts = (...names: string[]): File => ({
  heartbeat: { hosts: names.map((name) => ({ host: `${name}.example`, port: 1, name })) },
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "reload-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const lineSchema = z.looseObject({ msg: z.string(), level: z.number() });

/** Follows the file at `path`, which is in force as it is. */
function follow(path: string, file: File) {
  const lines: z.output<typeof lineSchema>[] = [];
  const replaced: string[][] = [];
  const text = JSON.stringify(file);
  const parsed = parseTargets(text);
  if (!parsed.ok) throw new Error(parsed.problems.join());
  const { targets } = parsed;
  let isBroken = false;
  const reload = configReload({
    path,
    text,
    targets,
    base: BASE,
    replace(targets: Targets) {
      if (isBroken) throw new Error("a bug");
      replaced.push(targets.components.map(({ name }) => name));
      return Promise.resolve();
    },
    log: pino(
      { base: null },
      { write: (line: string) => void lines.push(lineSchema.parse(JSON.parse(line))) },
    ),
    readEveryMs: READ_EVERY_MS,
  });
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  reload.follow(stopping.signal);
  const told = () => lines.map(({ msg }) => msg);
  return { reload, lines, told, replaced, stopping, break: (broken: boolean) => (isBroken = broken) };
}

/** A file in a folder of its own, followed. */
function followed(file: File) {
  const path = join(temporaryFolder(), "publisher_config.json");
  const write = (content: File | string) =>
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  write(file);
  return { path, write, ...follow(path, file) };
}

/** So many reads after this one a change would have been noticed. */
async function someReads(): Promise<void> {
  const { write, lines } = followed(hosts("db"));
  write(hosts("other"));
  await vi.waitFor(() => expect(lines).toHaveLength(1), { timeout: 5_000 });
}

const RELOADED = "publisher_config.json reloaded";
const REFUSED = "publisher_config.json not reloaded, the one before goes on";
const RETURNED = "publisher_config.json is again the one in force";

describe("a good new file", () => {
  test("is taken over and told once, with what has come, gone and changed", async () => {
    const { write, reload, lines, replaced } = followed(hosts("db", "doa"));
    const { loadedAtMs } = reload;
    expect(reload.isInForce).toBe(true);
    write({
      heartbeat: {
        hosts: [{ host: "db.example", port: 1, name: "db", timeout: 1, tmieout: 2 }],
        rmq_consumers: [{ queue: "inbox", listeners: [{ tag: "a", name: "a" }] }],
      },
    });
    await vi.waitFor(() => expect(lines).toHaveLength(2));
    expect(replaced).toEqual([["db"]]);
    expect(lines[0]).toMatchObject({
      msg: RELOADED,
      level: 30,
      components: 3,
      added: 2,
      removed: 1,
      changed: 1,
      warnings: 1,
    });
    expect(lines[1]).toMatchObject({ msg: "configuration warning", level: 40 });
    expect(lines[1]?.["warning"]).toContain("heartbeat.hosts[0].tmieout: unknown key, ignored");
    expect(reload.isInForce).toBe(true);
    expect(reload.loadedAtMs).toBeGreaterThan(loadedAtMs);
    await someReads();
    expect(lines).toHaveLength(2);
  });

  test("is noticed when a ConfigMap's folder is swapped", async () => {
    const mount = temporaryFolder();
    const version = (name: string, file: File) => {
      mkdirSync(join(mount, name));
      writeFileSync(join(mount, name, "publisher_config.json"), JSON.stringify(file));
      symlinkSync(name, join(mount, "..data_tmp"));
      renameSync(join(mount, "..data_tmp"), join(mount, "..data"));
    };
    version("..2026_01_01", hosts("db"));
    symlinkSync(join("..data", "publisher_config.json"), join(mount, "publisher_config.json"));
    const { told, replaced } = follow(join(mount, "publisher_config.json"), hosts("db"));
    version("..2026_01_02", hosts("db", "doa"));
    rmSync(join(mount, "..2026_01_01"), { recursive: true });
    await vi.waitFor(() => expect(told()).toEqual([RELOADED]));
    expect(replaced).toEqual([["db", "doa"]]);
  });

  test("is noticed when another file takes its name, as editors do it", async () => {
    const { path, told } = followed(hosts("db"));
    writeFileSync(`${path}~`, JSON.stringify(hosts("doa")));
    renameSync(`${path}~`, path);
    await vi.waitFor(() => expect(told()).toEqual([RELOADED]));
  });

  test("counts only once it has come to rest", async () => {
    const { write, told, replaced } = followed(hosts("a"));
    const untilMs = performance.now() + 10 * READ_EVERY_MS;
    for (let count = 0; performance.now() < untilMs; count += 1) {
      write(hosts(`unfinished-${count}`));
      await setImmediate(); // so that something new is written between any two reads
    }
    write(hosts("finished"));
    await vi.waitFor(() => expect(told()).toContain(RELOADED));
    expect(replaced).toEqual([["finished"]]);
  });
});

describe("a bad new file", () => {
  test("leaves the old one in force and is told once, until a good one comes", async () => {
    const { write, reload, lines, told, replaced } = followed(hosts("db"));
    const { loadedAtMs } = reload;
    write({ heartbeat: { hosts: [{ host: "db", prot: 1 }] } });
    await vi.waitFor(() => expect(told()).toEqual([REFUSED]));
    expect(lines[0]).toMatchObject({ level: 40 });
    expect(lines[0]?.["problems"]).toEqual([
      expect.stringContaining("heartbeat.hosts[0].port"),
      expect.stringContaining("heartbeat.hosts[0].prot: unknown key"),
    ]);
    expect(reload).toMatchObject({ isInForce: false, loadedAtMs });
    await someReads();
    expect(told()).toEqual([REFUSED]);
    write(hosts("doa"));
    await vi.waitFor(() => expect(told()).toEqual([REFUSED, RELOADED]));
    expect(reload.isInForce).toBe(true);
    expect(replaced).toEqual([["doa"]]);
  });

  test("is told in part where there is much to tell", async () => {
    const { write, lines } = followed(hosts("db"));
    write({ heartbeat: { hosts: Array.from({ length: 50 }, () => ({ host: "", port: 1, name: "a" })) } });
    await vi.waitFor(() => expect(lines).toHaveLength(1));
    const problems = lines[0]?.["problems"];
    expect(problems).toHaveLength(21);
    expect(problems).toContain("and 30 more");
  });

  test.each([
    { what: "one that is no JSON", content: '{"heartbeat":', problem: "is not JSON" },
    { what: "an empty one", content: "", problem: "is not JSON" },
    { what: "one with nothing to watch", content: '{"heartbeat":{}}', problem: "has nothing to watch" },
    { what: "one much too large", content: " ".repeat(1024 * 1024 + 1), problem: "is larger than 1 MiB" },
  ])("$what is refused", async ({ content, problem }) => {
    const { write, reload, lines } = followed(hosts("db"));
    write(content);
    await vi.waitFor(() => expect(lines).toHaveLength(1));
    expect(JSON.stringify(lines[0]?.["problems"])).toContain(problem);
    expect(reload.isInForce).toBe(false);
  });

  test("followed by what was there before is no reload, and told as such", async () => {
    const { write, reload, told, replaced } = followed(hosts("db"));
    write("{");
    await vi.waitFor(() => expect(told()).toEqual([REFUSED]));
    write(hosts("db"));
    await vi.waitFor(() => expect(told()).toEqual([REFUSED, RETURNED]));
    expect(reload.isInForce).toBe(true);
    await someReads();
    expect(told()).toEqual([REFUSED, RETURNED]);
    expect(replaced).toEqual([]);
  });

  test("that a bug keeps from being used is not taken for the one in force", async () => {
    const { write, reload, told, break: breakIt } = followed(hosts("db"));
    breakIt(true);
    write(hosts("doa"));
    await vi.waitFor(() => expect(told()).toEqual(["reloading failed"]));
    expect(reload.isInForce).toBe(false);
    breakIt(false);
    write(hosts("doi"));
    await vi.waitFor(() => expect(told()).toEqual(["reloading failed", RELOADED]));
  });
});

test("a file that is gone leaves the old one in force, and its return is told", async () => {
  const { path, write, reload, lines, told } = followed(hosts("db"));
  rmSync(path);
  await vi.waitFor(() => expect(told()).toEqual([REFUSED]));
  expect(lines[0]?.["problems"]).toEqual([`${path} does not exist`]);
  expect(reload.isInForce).toBe(false);
  write(hosts("db"));
  await vi.waitFor(() => expect(told()).toEqual([REFUSED, RETURNED]));
  expect(reload.isInForce).toBe(true);
});

test("what is no file any more is not read", async () => {
  const { path, lines, told } = followed(hosts("db"));
  rmSync(path);
  symlinkSync("/dev/zero", path);
  await vi.waitFor(() => expect(told()).toEqual([REFUSED]));
  expect(lines[0]?.["problems"]).toEqual([`${path} is no regular file`]);
  rmSync(path);
  mkdirSync(path);
  await vi.waitFor(() => expect(told()).toEqual([REFUSED, REFUSED]));
  expect(lines[1]?.["problems"]).toEqual([`${path} is a directory, not a file`]);
});

test("nothing is read after the stop", async () => {
  const { write, told, stopping } = followed(hosts("db"));
  stopping.abort();
  write(hosts("doa"));
  await someReads();
  expect(told()).toEqual([]);
});
