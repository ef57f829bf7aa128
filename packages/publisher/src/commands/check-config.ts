import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { type Command, UsageError } from "@pipeline-heartbeat/shared/command-line.ts";
import { ConfigError, type Env, readTextFile } from "@pipeline-heartbeat/shared/config.ts";
import { DEFAULT_CONFIG_PATH } from "../config.ts";
import { parseTargets } from "../parse-file.ts";
import type { Targets } from "../targets.ts";

/** Judges a publisher_config.json before it is deployed, stricter than the service at its start. */
export function checkConfigCommand(env: Env): Command {
  return {
    usage: "[FILE]",
    summary: "checks a publisher_config.json (- is stdin), strictly; exit code 0, or 78 with every problem",
    async run(args) {
      const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
      if (positionals.length > 1) throw new UsageError("expected one file at most");
      const [path = env["PUBLISHER_CONFIG_PATH"] || DEFAULT_CONFIG_PATH] = positionals;
      const name = path === "-" ? "stdin" : path;
      const parsed = parseTargets(await read(path));
      if (!parsed.ok) throw new ConfigError(name, parsed.problems);
      if (parsed.ignored.length > 0) throw new ConfigError(name, parsed.ignored);
      for (const warning of parsed.warnings) process.stderr.write(`warning: ${warning}\n`);
      process.stdout.write(`${name}: ${summary(parsed.targets)}\n`);
      return 0;
    },
  };
}

async function read(path: string): Promise<string> {
  if (path === "-") return await text(process.stdin);
  const file = readTextFile(path);
  if (file.ok) return file.text;
  throw new ConfigError("configuration error", [file.problem]);
}

function summary({ components, queues }: Targets): string {
  const hosts = components.filter(({ section }) => section === "hosts");
  const listeners = queues.flatMap(({ listeners }) => listeners);
  const counts = [
    ...counted(hosts, "host"),
    ...counted(queues, "queue"),
    ...counted(listeners, "listener"),
    ...counted(components.slice(hosts.length), hosts.length > 0 ? "other component" : "component"),
  ];
  return `no problem; ${counts.join(", ")} would be watched`;
}

/** Nothing of what there is none of: the file has something. */
function counted(list: readonly unknown[], noun: string): string[] {
  return list.length === 0 ? [] : [`${list.length} ${noun}${list.length === 1 ? "" : "s"}`];
}
