import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the engine's own client, in the repository's root, to its end. `env` is added to this process's own. */
export async function docker(args: readonly string[], { input = "", env = {} } = {}): Promise<Ended> {
  const child = spawn("docker", args, { cwd: ROOT, env: { ...process.env, ...env } });
  const closed = once(child, "close");
  child.stdin.on("error", () => {}); // it may end without having read
  child.stdin.end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await closed;
  return { exitCode: child.exitCode, stdout, stderr };
}

/** What the client prints. Rejects with what it complains about when it fails. */
export async function dockerOutput(args: readonly string[], env = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await docker(args, { env });
  if (exitCode !== 0) throw new Error(`docker ${args.join(" ")}: exit code ${exitCode}\n${stdout}${stderr}`);
  return stdout.trim();
}
