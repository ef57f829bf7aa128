import { readdir, readlink } from "node:fs/promises";
import { expect, onTestFinished, vi } from "vitest";
import { engineAnswers } from "./container-engine.ts";
import { LABEL } from "./containers.ts";
import { temporaryFolder } from "./server-process.ts";

export interface Watch {
  readonly folder: string;
  readonly containersBefore: readonly string[];
}

/** A folder that is this test's and gone after it. */
export async function testFolder(): Promise<string> {
  const { path, remove } = await temporaryFolder();
  onTestFinished(remove);
  return path;
}

/** From here to the end of the test, what is started has its temporary folders where `expectNoTrace` looks. */
export async function watch(): Promise<Watch> {
  const folder = await testFolder();
  const containersBefore = await containers();
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("TMPDIR", folder);
  return { folder, containersBefore };
}

/** The last of Erlang's helpers end a moment after the server whose death they notice. */
export async function expectNoTrace({ folder, containersBefore }: Watch): Promise<void> {
  const traces = async () => ({
    files: (await readdir(folder)).filter((name) => name.startsWith("brokers-")),
    processes: await processesIn(folder),
    containers: await containers(),
  });
  await expect.poll(traces).toEqual({ files: [], processes: [], containers: containersBefore });
}

/** Every private server works in its own temporary folder. */
async function processesIn(folder: string): Promise<string[]> {
  const processes = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const workingFolders = await Promise.all(
    processes.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => "")),
  );
  return processes.filter((_, index) => workingFolders[index]?.startsWith(folder));
}

async function containers(): Promise<string[]> {
  if (!(await engineAnswers(process.env))) return [];
  const { getContainerRuntimeClient } = await import("testcontainers");
  const { dockerode } = (await getContainerRuntimeClient()).container;
  const found = await dockerode.listContainers({ all: true, filters: { label: [LABEL] } });
  return found.map(({ Id }) => Id).toSorted();
}
