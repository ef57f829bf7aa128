import { globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly "timeout-minutes"?: number;
  readonly permissions?: unknown;
  readonly uses?: string;
  readonly steps?: readonly Step[];
}
interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

const files = globSync(".github/workflows/*.yml").map((path) => {
  const text = readFileSync(path, "utf8");
  const workflow: Workflow = parse(text);
  const jobs = Object.entries(workflow.jobs);
  return { name: basename(path), text, workflow, jobs, steps: jobs.flatMap(([, { steps = [] }]) => steps) };
});

test("there are workflows to check", () => {
  expect(files.map(({ name }) => name).toSorted()).toEqual(["ci.yml", "release.yml", "scan.yml"]);
});

describe.each(files)("$name", ({ text, workflow, jobs, steps }) => {
  test("takes every action at a commit, with the version that it is", () => {
    const taken = text.split("\n").filter((line) => /^\s*(- )?uses:/.test(line));
    const isPinned = /uses: (\.\/\S+|[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/;
    expect(taken.filter((line) => !isPinned.test(line))).toEqual([]);
  });

  test("puts nothing into a shell that others may have written", () => {
    expect(steps.filter(({ run }) => run?.includes("${{"))).toEqual([]);
    expect(Object.keys(workflow.on)).not.toContain("pull_request_target");
  });

  test("leaves no token in the files that it checks out, and no job without an end", () => {
    const checkouts = steps.filter(({ uses }) => uses?.startsWith("actions/checkout@"));
    expect(checkouts.map((step) => step.with?.["persist-credentials"])).not.toContain(undefined);
    expect(checkouts.map((step) => step.with?.["persist-credentials"])).not.toContain(true);
    const endless = jobs.filter(([, job]) => !job.uses && !job["timeout-minutes"]);
    expect(endless).toEqual([]);
  });

  test("may only read, but for the job that publishes when a tag is pushed", () => {
    expect(workflow.permissions).toEqual({ contents: "read" });
    const writers = jobs.filter(([, { permissions }]) => JSON.stringify(permissions ?? "").includes("write"));
    if (0 < writers.length) expect(workflow.on).toEqual({ push: { tags: ["v*"] } });
    expect(writers.map(([name]) => name).filter((name) => name !== "publish")).toEqual([]);
  });
});
