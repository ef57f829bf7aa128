import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { findProgram } from "./programs.ts";
import { withProgress, type Say } from "./progress.ts";
import { logTail, spawnApart, temporaryFolder } from "./server-process.ts";

const SCRIPT = fileURLToPath(new URL("install-packages.sh", import.meta.url));

/** Whether packages can be installed here: as root on Debian, Ubuntu or a relative of theirs. */
export async function canInstallPackages(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const isDebian = /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(release);
  return isDebian && (await findProgram("apt-get")) !== undefined;
}

/**
 * Installs packages without letting them start their services, now or at the next boot. Not to be called off: an
 * apt-get that is ended half-way leaves a machine on which nothing can be installed.
 */
export async function installPackages(packages: readonly string[], say: Say): Promise<void> {
  say(`installing with apt-get: ${packages.join(", ")}`);
  await using releases = new AsyncDisposableStack();
  const folder = await temporaryFolder();
  releases.defer(folder.remove);
  const { exited, logFile } = spawnApart({
    name: "apt-get",
    program: "/bin/sh",
    args: [SCRIPT, ...packages],
    env: process.env,
    folder: folder.path,
  });
  const how = await withProgress("installing", say, () => exited);
  if (how !== "exit code 0") {
    throw new Error(`apt-get could not install ${packages.join(", ")}\n${logTail(logFile)}`);
  }
}
