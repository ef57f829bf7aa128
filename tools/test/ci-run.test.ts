import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";

interface Machine {
  /** Whether `docker version` finds an engine. */
  readonly hasEngine: boolean;
  /** What lies beside the repository: an engine that is not started, one that runs, one that does not start. */
  readonly tool?: "stopped" | "running" | "broken";
  readonly env?: Readonly<Record<string, string>>;
  /** The npm script that fails. */
  readonly failing?: string;
}

const TESTED = "npm test\nnpm run demo -- --once\nnpm run soak -- --seconds 300\n";

/** Runs a copy of .ci/run beside programs that only write down how they were called, and where the engine is. */
function run({ hasEngine, tool, env = {}, failing = "nothing" }: Machine) {
  const root = mkdtempSync(join(tmpdir(), "ci-run-test-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const program = (path: string, ...lines: string[]) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), ["#!/bin/sh", ...lines, ""].join("\n"));
    chmodSync(join(root, path), 0o755);
  };
  const calls = join(root, "calls");
  const where = "${TEST_BROKERS:+ on $TEST_BROKERS}${DOCKER_HOST:+ at $DOCKER_HOST}";
  program("bin/npm", `echo "npm $*${where}" >> ${calls}`, `case "$*" in *${failing}*) exit 1; esac`);
  program("bin/docker", hasEngine ? "echo unix:///engine.sock" : "exit 1");
  if (tool) {
    program(
      "shared/tools/docker-engine",
      `case $1 in env) ${tool === "running" ? "" : `test -e ${root}/up || exit 1; `}echo export DOCKER_HOST=private;;`,
      `up) echo engine up >> ${calls}; ${tool === "broken" ? "exit 1" : `touch ${root}/up`};;`,
      `down) echo engine down >> ${calls};; esac`,
    );
  }
  mkdirSync(join(root, "repository/.ci"), { recursive: true });
  copyFileSync(".ci/run", join(root, "repository/.ci/run"));
  const { status, stderr } = spawnSync(join(root, "repository/.ci/run"), {
    env: { PATH: `${join(root, "bin")}:${process.env["PATH"]}`, ...env },
    encoding: "utf8",
  });
  return { status, calls: readFileSync(calls, "utf8"), stderr };
}

// A script for bash and the programs of GNU.
describe.runIf(process.platform === "linux")(".ci/run", () => {
  test("takes the engine that answers, for all tests", () => {
    const where = " on containers at unix:///engine.sock\n";
    expect(run({ hasEngine: true, tool: "stopped" })).toMatchObject({
      status: 0,
      calls: TESTED.replaceAll("\n", where),
    });
  });

  test("starts the engine beside the repository, tests in containers what takes them, and stops it", () => {
    expect(run({ hasEngine: false, tool: "stopped" })).toMatchObject({
      status: 0,
      calls: `${TESTED}engine up\nnpm run test:containers -- docker/test test/main-job test/bundles at private\nengine down\n`,
    });
  });

  test("leaves an engine running that ran before", () => {
    expect(run({ hasEngine: false, tool: "running" })).toMatchObject({
      status: 0,
      calls: `${TESTED}npm run test:containers -- docker/test test/main-job test/bundles at private\n`,
    });
  });

  test.each([
    { what: "no engine", machine: { hasEngine: false } },
    { what: "an engine that does not start", machine: { hasEngine: false, tool: "broken" } },
  ] as const)("with $what tells loudly what is not tested", ({ machine }) => {
    const { status, calls, stderr } = run(machine);
    expect(status).toBe(0);
    expect(calls).not.toContain("containers");
    expect(stderr).toContain("*** NOT TESTED: the images, and brokers in containers");
  });

  test("keeps to the local servers when it is told so", () => {
    const { calls } = run({ hasEngine: true, env: { TEST_BROKERS: "local" } });
    expect(calls).toBe(TESTED.replaceAll("\n", " on local\n"));
  });

  test.each([
    { failing: "test", machine: { hasEngine: true } },
    { failing: "test", machine: { hasEngine: false } },
    { failing: "demo", machine: { hasEngine: true } },
    { failing: "soak", machine: { hasEngine: true } },
    { failing: "soak", machine: { hasEngine: false } },
    { failing: "test:containers", machine: { hasEngine: false, tool: "stopped" } },
  ] as const)("fails with $failing", ({ failing, machine }) => {
    expect(run({ ...machine, failing }).status).toBe(1);
  });
});
