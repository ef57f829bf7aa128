import { fileURLToPath } from "node:url";
import { type Ended, runToEnd } from "../../test/run-to-end.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Runs the engine's own client, in the repository's root, to its end. `env` is added to this process's own. */
export async function docker(args: readonly string[], { input = "", env = {} } = {}): Promise<Ended> {
  return await runToEnd("docker", args, { cwd: ROOT, env: { ...process.env, ...env }, input });
}

/** What the client prints. Rejects with what it complains about when it fails. */
export async function dockerOutput(args: readonly string[], env = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await docker(args, { env });
  if (exitCode !== 0) throw new Error(`docker ${args.join(" ")}: exit code ${exitCode}\n${stdout}${stderr}`);
  return stdout.trim();
}
