import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("../release-version.ts", import.meta.url));
const label = (version: string) => `LABEL org.opencontainers.image.version="${version}" \\\n`;
const example = (version: string) => `images:\n  - name: a\n    newTag: ${version}\n`;

/** A repository of this version, apart from the files given. */
function repository(version: string, files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "release-version-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const all = {
    "package.json": JSON.stringify({ version, workspaces: ["packages/a"] }),
    "packages/a/package.json": JSON.stringify({ version }),
    "package-lock.json": JSON.stringify({ packages: { "": { version }, "packages/a": { version } } }),
    "docker/publisher.Dockerfile": label(version),
    "docker/subscriber.Dockerfile": label(version),
    "docker/example.Dockerfile": "FROM scratch\n",
    "kubernetes/examples/publisher/kustomization.yaml": example(version),
    "kubernetes/examples/subscriber/kustomization.yaml": example(`"${version}"`),
    "CHANGELOG.md": `# Changelog\n\n## [${version}] - 2026-11-23\n`,
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function releaseVersion(tag: string, cwd: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, tag], { cwd, encoding: "utf8" });
  return { status, stdout, problems: stderr.split("\n").filter(Boolean) };
}

test.each(["1.2.3", "1.2.3-rc.1"])(
  "a tag of %s stands for that version when all files state it",
  (version) => {
    const told = releaseVersion(`v${version}`, repository(version));
    expect(told).toEqual({ status: 0, stdout: `${version}\n`, problems: [] });
  },
);

test("a tag that any file contradicts is refused, with every such file", () => {
  const files = {
    "packages/a/package.json": JSON.stringify({ version: "1.2.2" }),
    "package-lock.json": JSON.stringify({
      packages: { "": { version: "1.2.3" }, "packages/a": { version: "1.2.2" } },
    }),
    "docker/publisher.Dockerfile": label("0.9.0"),
    "docker/subscriber.Dockerfile": "FROM scratch\n",
    "kubernetes/examples/publisher/kustomization.yaml": example("1.2.30"),
    "kubernetes/examples/subscriber/kustomization.yaml": "images: []\n",
    "CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n- As [1.2.3] will have it.\n",
  };
  expect(releaseVersion("v1.2.3", repository("1.2.3", files))).toEqual({
    status: 1,
    stdout: "",
    problems: [
      "packages/a/package.json: the version is 1.2.2, not 1.2.3",
      'package-lock.json, "packages/a": the version is 1.2.2, not 1.2.3',
      "docker/publisher.Dockerfile: the version is 0.9.0, not 1.2.3",
      "docker/subscriber.Dockerfile: the version is missing, not 1.2.3",
      "kubernetes/examples/publisher/kustomization.yaml: the version is 1.2.30, not 1.2.3",
      "kubernetes/examples/subscriber/kustomization.yaml: the version is missing, not 1.2.3",
      'CHANGELOG.md: no section "## [1.2.3] - DATE"',
    ],
  });
});

test.each(["1.2.3", "v1.2", "v1.2.3.4", "v1.2.3\nv1.2.4", "vnext", ""])("%j is no release's tag", (tag) => {
  const { status, stdout, problems } = releaseVersion(tag, repository("1.2.3"));
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(problems.join()).toContain("is not of the form v1.2.3");
});
