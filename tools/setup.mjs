// Makes a fresh clone ready: installs the npm packages when they are missing or older than the lock file.
// Plain JavaScript that any Node from 20 on can run: the Node 24 that the rest needs comes with the packages.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const installed = `${root}node_modules/.package-lock.json`;

if (!isCurrent()) {
  console.log("installing the npm packages (npm ci) …");
  const startMs = Date.now();
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { status, error } = spawnSync(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
  if (status !== 0) {
    console.error(`npm ci failed${error ? `: ${error.message}` : ""}; is the npm registry in reach?`);
    process.exit(1);
  }
  console.log(`npm packages installed (${Math.round((Date.now() - startMs) / 1000)} s)`);
}

const version =
  spawnSync("node", ["-p", "process.versions.node"], { encoding: "utf8", cwd: root }).stdout?.trim() ?? "";
if (Number.parseInt(version, 10) < 24) {
  console.error(
    `Node 24 or later is needed here, found ${version}: no npm package brings it for ${process.platform}-${process.arch}`,
  );
  process.exit(1);
}

/** npm keeps beside the packages a copy of the lock file that they were installed from. */
function isCurrent() {
  if (!existsSync(installed)) return false;
  const wanted = JSON.parse(readFileSync(`${root}package-lock.json`, "utf8")).packages;
  const present = JSON.parse(readFileSync(installed, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional, link }]) =>
      path === "" ||
      link ||
      !path.startsWith("node_modules/") ||
      present[path]?.version === version ||
      (optional && !present[path]),
  );
}
