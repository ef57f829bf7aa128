import { constants } from "node:fs";
import { access, realpath } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";

/** Debian leaves these out of an ordinary user's PATH, and rabbitmq-server is in one of them. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/** The packages' rabbitmq-server on the PATH changes to the user rabbitmq first; this is the one that it calls. */
const PACKAGED_RABBITMQ_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";

export async function findProgram(name: string): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...SYSTEM_FOLDERS];
  return firstExecutable(folders.filter(Boolean).map((folder) => join(folder, name)));
}

export async function findRabbitmqServer(): Promise<string | undefined> {
  return (await firstExecutable([PACKAGED_RABBITMQ_SERVER])) ?? findProgram("rabbitmq-server");
}

/** Erlang's port mapper; not every package links it into the PATH, but it lies beside the true `erl`. */
export async function findEpmd(): Promise<string | undefined> {
  const onPath = await findProgram("epmd");
  if (onPath) return onPath;
  const erl = await findProgram("erl");
  return erl && firstExecutable([join(dirname(await realpath(erl)), "epmd")]);
}

async function firstExecutable(paths: string[]): Promise<string | undefined> {
  for (const path of paths) {
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
