import { readFileSync } from "node:fs";
import { describe, expect, inject, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { dockerOutput } from "./docker.ts";

const BUNDLE = "/opt/pipeline-heartbeat/main.js";
const README = readFileSync("docker/README.md", "utf8");
const MOST_BYTES = 5 * 1024 * 1024;
const NODE = "/nodejs/bin/node";
const SECOND_NS = 1e9;
const SHELLS_AND_THE_LIKE = /\/s?bin\/([a-z]*sh|busybox|toybox|curl|wget|apt.*|dpkg.*|apk|npm|npx)$/;
/** Of a file or folder: nobody but its owner may write, in octal. */
const READ_ONLY: unknown = expect.stringMatching(/[45][45]$/);

/** Prints each path of the image's own file system, with what it is. */
const LIST_FILES = `
  const { readdirSync, lstatSync } = require("node:fs");
  for (const path of readdirSync("/", { recursive: false })) walk("/" + path);
  function walk(path) {
    if (["/proc", "/sys", "/dev"].includes(path)) return;
    const { mode, uid, size } = lstatSync(path);
    console.log(JSON.stringify([path, { mode: mode.toString(8), uid, size }]));
    if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) walk(path + "/" + name);
  }`;

interface File {
  readonly mode: string;
  readonly uid: number;
  readonly size: number;
}

async function filesOf(image: string): Promise<Map<string, File>> {
  const asRoot = ["--rm", "--user", "0", "--network", "none", "--entrypoint", NODE];
  const lines = await dockerOutput(["run", ...asRoot, image, "-e", LIST_FILES]);
  return new Map(lines.split("\n").map((line) => JSON.parse(line)));
}

async function inspect(image: string) {
  const [inspected] = JSON.parse(await dockerOutput(["image", "inspect", image]));
  return inspected;
}

describe.each(["publisher", "subscriber"] as const)("the image of the %s", (service) => {
  const image = () => inject("images")[service];

  test("runs its command as nobody, on a read-only file system, without a capability", async () => {
    const locked = ["--read-only", "--cap-drop", "ALL", "--user", "65532", "--network", "none"];
    const isolated = [...locked, "--security-opt", "no-new-privileges"];
    expect(await dockerOutput(["run", "--rm", ...isolated, image(), "--version"])).toBe(
      `@pipeline-heartbeat/${service} ${packageJson.version}`,
    );
  });

  test("adds one layer with one file to its base: the bundle, which nobody there can change", async () => {
    const { Config, RootFS } = await inspect(image());
    const base = Config.Labels["org.opencontainers.image.base.name"];
    // Running it has it pulled: a builder may keep what it pulls to itself.
    const [files, baseFiles] = [await filesOf(image()), await filesOf(base)];
    expect(RootFS.Layers.slice(0, -1)).toEqual((await inspect(base)).RootFS.Layers);
    const added = [...files].filter(([path]) => !baseFiles.has(path));
    expect(added.map(([path]) => path).filter((path) => !`${BUNDLE}/`.startsWith(`${path}/`))).toEqual([]);
    for (const [, { uid, mode }] of added) expect({ uid, mode }).toEqual({ uid: 0, mode: READ_ONLY });
    expect(files.get(BUNDLE)?.size).toBeGreaterThan(100_000);
    expect(files.get(BUNDLE)?.size).toBeLessThan(MOST_BYTES);
    expect([...baseFiles.keys()].filter((path) => !files.has(path))).toEqual([]);
  });

  test("has no shell, no package manager, and nothing where deployments mount their files", async () => {
    const paths = [...(await filesOf(image())).keys()];
    expect(paths).toContain(NODE);
    expect(paths.filter((path) => SHELLS_AND_THE_LIKE.test(path))).toEqual([]);
    expect(paths.filter((path) => /^\/(app|publisher_config\.json)$/.test(path))).toEqual([]);
  });

  test("is run by number, needs no argument, and checks itself", async () => {
    const { Config } = await inspect(image());
    expect(Config).toMatchObject({ User: "65532:65532", Entrypoint: [NODE, BUNDLE] });
    expect(Config.Cmd ?? []).toEqual([]);
    expect(Config.Healthcheck).toEqual({
      Test: ["CMD", NODE, BUNDLE, "healthcheck"],
      Interval: 30 * SECOND_NS,
      // The check itself gives up after less than three.
      Timeout: 5 * SECOND_NS,
      StartPeriod: 15 * SECOND_NS,
      Retries: 3,
    });
    expect(Object.keys(Config.ExposedPorts ?? {})).toEqual(service === "subscriber" ? ["8080/tcp"] : []);
  });

  test("says what it is in its labels", async () => {
    const { Config } = await inspect(image());
    expect(Config.Labels).toMatchObject({
      "org.opencontainers.image.title": `pipeline-heartbeat-${service}`,
      "org.opencontainers.image.description": expect.stringContaining("heartbeats"),
      "org.opencontainers.image.version": packageJson.version,
      "org.opencontainers.image.licenses": "MIT",
      "org.opencontainers.image.base.name": "gcr.io/distroless/nodejs24-debian13:nonroot",
    });
  });

  test("is about as large as the docs say", async () => {
    const size = (await filesOf(image())).get(BUNDLE)?.size ?? 0;
    const row = /^\| our layer.*? \| (\S+) MB +\| (\S+) MB +\|$/m.exec(README);
    const toldBytes = Number(row?.[service === "publisher" ? 1 : 2]) * 1e6;
    expect(size / toldBytes).toBeGreaterThan(0.8);
    expect(size / toldBytes).toBeLessThan(1.2);
  });
});
