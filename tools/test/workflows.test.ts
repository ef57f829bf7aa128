import { globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

interface Step {
  readonly if?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly "timeout-minutes"?: number;
  readonly permissions?: unknown;
  readonly uses?: string;
  readonly needs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly strategy?: { readonly matrix: Readonly<Record<string, unknown>> };
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

/** What a job runs and the actions that it takes, one step after another. */
function doneBy(job: Job | undefined): string {
  return (job?.steps ?? []).map(({ uses = "", run = "" }) => `${uses}\n${run}`).join("\n");
}

function expectInOrder(text: string, ...words: readonly string[]): void {
  const places = words.map((one) => text.indexOf(one));
  expect(places).not.toContain(-1);
  expect(places).toEqual(places.toSorted((a, b) => a - b));
}

function jobOf(file: string, name: string): Job {
  const job = files.find((one) => one.name === file)?.workflow.jobs[name];
  if (!job) throw new Error(`${file} has no job ${name}`);
  return job;
}

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

  test("needs no secret but the token of its own job", () => {
    expect(text).not.toMatch(/\bsecrets\b/);
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

describe("the tests of each change", () => {
  test("are all that must pass before anything lands, on pull requests as well", () => {
    const { on } = files.find(({ name }) => name === "ci.yml")?.workflow ?? {};
    expect(Object.keys(on ?? {})).toEqual(
      expect.arrayContaining(["push", "pull_request", "schedule", "workflow_call"]),
    );
    const { env, ...job } = jobOf("ci.yml", "test");
    expect(env).toEqual({ TEST_BROKERS: "containers" });
    expect(doneBy(job)).toContain("\n.ci/run");
  });

  test("are run with each version of the brokers that is supported, and with no other in its place", () => {
    const { env, strategy, ...job } = jobOf("ci.yml", "brokers");
    // Without the first of these the images are refused: test/brokers.test.ts.
    expect(env).toEqual({
      TEST_BROKERS: "containers",
      TEST_RABBITMQ_IMAGE: "${{ matrix.rabbitmq }}",
      TEST_REDIS_IMAGE: "${{ matrix.redis }}",
    });
    const images = JSON.stringify(strategy?.matrix);
    for (const rabbitmq of ["3.12", "3.13", "4.0", "4.2"])
      expect(images).toContain(`"rabbitmq:${rabbitmq}-management"`);
    for (const redis of ["redis:7", "redis:8", "valkey/valkey:8", "valkey/valkey:9"])
      expect(images).toContain(`"${redis}"`);
    expect(doneBy(job)).toContain("vitest run --project integration");
  });
});

test("the dependencies are audited, and their signatures checked, with each change and each week", () => {
  expect(files.find(({ name }) => name === "ci.yml")?.workflow.on).toHaveProperty("schedule");
  const done = doneBy(jobOf("ci.yml", "audit"));
  expectInOrder(
    done,
    "npm audit --omit=dev --audit-level=high",
    "npm ci --ignore-scripts",
    "npm audit signatures",
  );
  // Where a step could fail without failing the job, nobody would look.
  expect(done).not.toMatch(/\|\|/);
  expect(JSON.stringify(jobOf("ci.yml", "audit"))).not.toContain("continue-on-error");
});

describe("an image", () => {
  const job = jobOf("ci.yml", "image");

  test("is built for both architectures, with SBOM and provenance, run locked down, and scanned", () => {
    expect(job.strategy?.matrix).toMatchObject({
      service: ["publisher", "subscriber"],
      arch: ["amd64", "arm64"],
    });
    expectInOrder(
      doneBy(job),
      "docker buildx build",
      "--sbom=true --provenance=mode=max",
      "actions/upload-artifact@",
      "docker run --rm --read-only --cap-drop ALL --user 65532",
      "anchore/scan-action@",
    );
  });

  test.each(["ci.yml image", "scan.yml released"])(
    "with a hole that can be mended fails %s, which looks each week",
    (place) => {
      const [file = "", name = ""] = place.split(" ");
      expect(files.find((one) => one.name === file)?.workflow.on).toHaveProperty("schedule");
      const { steps = [] } = jobOf(file, name);
      const scans = steps.filter(({ uses }) => uses?.startsWith("anchore/scan-action@"));
      expect(scans.map((scan) => scan.with)).toMatchObject([
        { "fail-build": true, "severity-cutoff": "high", "only-fixed": true },
      ]);
    },
  );

  test("is published only when all else has passed, and signed, with its packages, before it is the latest", () => {
    const { jobs = {} } = files.find(({ name }) => name === "release.yml")?.workflow ?? {};
    const { publish, ...others } = jobs;
    expect(publish?.needs).toEqual(Object.keys(others));
    expect(jobs["ci"]?.uses).toBe("./.github/workflows/ci.yml");
    expectInOrder(
      doneBy(publish),
      "skopeo copy",
      "cosign sign ",
      "cosign attest ",
      "cosign verify ",
      'imagetools create --tag "$IMAGE:latest"',
    );
  });

  test("of a preview never becomes the latest", () => {
    const { steps = [] } = jobOf("release.yml", "publish");
    const latest = steps.filter(({ run }) => run?.includes(":latest"));
    expect(latest.map((step) => step.if)).toEqual(["${{ !contains(needs.version.outputs.version, '-') }}"]);
  });
});
