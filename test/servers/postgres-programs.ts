import { access, constants, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { canInstallPackages, installPackages } from "../brokers/debian-packages.ts";
import { findProgram } from "../brokers/programs.ts";

/** Debian keeps the servers of all versions apart, and out of the PATH. */
const DEBIAN_FOLDER = "/usr/lib/postgresql";
const PACKAGE = "postgresql";

/** The folder of initdb, postgres and psql. @throws with what to install, where that cannot be done here */
export async function postgresFolder(): Promise<string> {
  const found = await find();
  if (found) return found;
  if (!(await canInstallPackages())) {
    throw new Error(`a PostgreSQL server is needed (Debian, Ubuntu: "sudo apt-get install ${PACKAGE}")`);
  }
  await installPackages([PACKAGE], (line) => process.stderr.write(`${line}\n`));
  const installed = await find();
  if (installed) return installed;
  throw new Error(`apt-get installed ${PACKAGE}, but initdb cannot be found`);
}

async function find(): Promise<string | undefined> {
  const versions = await readdir(DEBIAN_FOLDER).catch(() => []);
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a));
  for (const version of newestFirst) {
    const folder = join(DEBIAN_FOLDER, version, "bin");
    // The packages of the client alone have such a folder, too.
    const isServer = await access(join(folder, "initdb"), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isServer) return folder;
  }
  const initdb = await findProgram("initdb");
  return initdb && dirname(initdb);
}
