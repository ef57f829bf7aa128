// Prints the version that a tag stands for, v1.2.3 -> 1.2.3, or fails with every file that says otherwise.
// Read from the current folder, the repository's root: node tools/release-version.ts v1.2.3
import { readFileSync } from "node:fs";

/** What is published of them states the version. */
const SERVICES = ["publisher", "subscriber"];
const LABEL = /org\.opencontainers\.image\.version="([^"]*)"/;
/** By its words: where a release is checked nothing is installed that parses YAML. */
const NEW_TAG = /^\s*newTag: ["']?([^\s"']*)/m;

const [tag = ""] = process.argv.slice(2);
const version = /^v(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)$/.exec(tag)?.[1];
const problems =
  version === undefined ? [`"${tag}" is not of the form v1.2.3 or v1.2.3-rc.1`] : check(version);
for (const problem of problems) console.error(problem);
if (0 < problems.length) process.exit(1);
console.log(version);

function check(version: string): string[] {
  const { workspaces } = JSON.parse(readFileSync("package.json", "utf8"));
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
  const packageFiles = ["package.json", ...workspaces.map((folder: string) => `${folder}/package.json`)];
  const stated = [
    ...packageFiles.map((file) => [file, JSON.parse(readFileSync(file, "utf8")).version]),
    ...["", ...workspaces].map((folder) => [`package-lock.json, "${folder}"`, packages[folder]?.version]),
    ...SERVICES.map((service) => statedIn(`docker/${service}.Dockerfile`, LABEL)),
    ...SERVICES.map((service) => statedIn(`kubernetes/examples/${service}/kustomization.yaml`, NEW_TAG)),
  ];
  const problems = stated
    .filter(([, found]) => found !== version)
    .map(([place, found]) => `${place}: the version is ${found ?? "missing"}, not ${version}`);
  const isInChangelog = readFileSync("CHANGELOG.md", "utf8").includes(`\n## [${version}] - `);
  return isInChangelog ? problems : [...problems, `CHANGELOG.md: no section "## [${version}] - DATE"`];
}

function statedIn(file: string, pattern: RegExp): [file: string, version: string | undefined] {
  return [file, pattern.exec(readFileSync(file, "utf8"))?.[1]];
}
