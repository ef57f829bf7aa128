import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Command, UsageError } from "@pipeline-heartbeat/shared/command-line.ts";
import { type Env } from "@pipeline-heartbeat/shared/config.ts";
import { printable, printableJson } from "@pipeline-heartbeat/shared/printable.ts";
import pLimit from "p-limit";
import { type Config, readConfig } from "../config.ts";
import { componentKey, referred } from "../dependencies.ts";
import { lookInTime, OVERTIME_MS } from "../looking.ts";
import type { ComponentName } from "../policy.ts";
import type { Observation, Probe, Target } from "../probe.ts";
import { targetProbes } from "../target-probes.ts";
import type { Targets } from "../targets.ts";
import { lookOnce } from "./look-once.ts";
import { tableText } from "./table.ts";

/** So many time-outs, and what has not been looked at by then is told as such. */
const MAX_TIMEOUTS = 2;
/** Of the names that there are, when another one was asked for. */
const MAX_NAMES_TOLD = 20;
const MAX_DETAIL_LENGTH = 300;

const EXIT_DOWN = 1;
const EXIT_UNKNOWN = 2;

interface Seen {
  readonly target: Target;
  readonly observation: Observation;
}

/**
 * Looks once at what a file names and shows what each look saw: nothing is confirmed by a second look, nor left out
 * because of a parent. It is for whoever is inside, so that the errors' own words are shown.
 */
export function probeCommand(env: Env): Command {
  return {
    usage: "[FILE [NAME]] [--json]",
    summary:
      "looks once at everything that a publisher_config.json names, or at the component NAME (or KIND:NAME), and " +
      "prints what it saw; exit code 0, 1 when anything is down, 2 when nothing is but something is unknown",
    async run(args) {
      const { positionals, values } = parseArgs({
        args: [...args],
        allowPositionals: true,
        options: { json: { type: "boolean" } },
      });
      const [file, name] = positionals;
      if (positionals.length > 2) throw new UsageError("expected a file and a name at most");
      const config = readConfig(file === undefined ? env : { ...env, PUBLISHER_CONFIG_PATH: file });
      const asked = name === undefined ? undefined : named(config.targets, name);
      const seen = await look({ ...config, targets: narrowed(config.targets, asked) });
      const wanted = seen.filter(({ target }) => !asked || isOneOf(asked, target));
      process.stdout.write(values.json ? json(wanted) : table(wanted));
      return exitCode(wanted);
    },
  };
}

/** The components that the name stands for. */
function named(targets: Targets, name: string): readonly ComponentName[] {
  const known = new Map(names(targets).map((one) => [componentKey(one), one]));
  const found = referred(name, known);
  if (found.length > 0) return found;
  const keys = [...known.keys()];
  const more = keys.length - MAX_NAMES_TOLD;
  const list = keys.slice(0, MAX_NAMES_TOLD).join(", ") + (more > 0 ? ` and ${more} more` : "");
  throw new UsageError(printable(`the file has no component '${name}', but ${list}`));
}

function names({ components, queues }: Targets): ComponentName[] {
  return [
    ...components.map(({ kind, name }) => ({ kind, name })),
    ...queues.flatMap(({ queue, listeners }): ComponentName[] => [
      { kind: "queue", name: queue },
      ...listeners.map(({ name }): ComponentName => ({ kind: "service", name })),
    ]),
  ];
}

/** What has to be looked at to know of these: a queue goes with its listeners. */
function narrowed(targets: Targets, asked: readonly ComponentName[] | undefined): Targets {
  if (!asked) return targets;
  return {
    ...targets,
    components: targets.components.filter((component) => isOneOf(asked, component)),
    queues: targets.queues.filter((queue) =>
      names({ ...targets, components: [], queues: [queue] }).some((one) => isOneOf(asked, one)),
    ),
  };
}

function isOneOf(asked: readonly ComponentName[], { kind, name }: ComponentName): boolean {
  return asked.some((one) => one.kind === kind && one.name === name);
}

async function look(config: Config): Promise<Seen[]> {
  const { options, stopping, end } = await lookOnce(config, "probe");
  const probes = targetProbes(config, options, stopping)(config.targets);
  const limit = pLimit(config.probeConcurrency);
  const observations = new Map<Probe, readonly Observation[]>();
  const looks = probes.map((probe) =>
    limit(async () => {
      observations.set(probe, await lookInTime(probe, timeoutMsOf(probe), stopping));
    }),
  );
  const longestMs = Math.max(0, ...probes.map(timeoutMsOf));
  await Promise.race([Promise.all(looks), sleep(MAX_TIMEOUTS * longestMs + OVERTIME_MS)]);
  const seen = probes.flatMap((probe) =>
    probe.targets.map((target, index): Seen => {
      const observation = observations.get(probe)?.[index] ?? { state: "unknown", reason: "not_looked_yet" };
      return { target, observation };
    }),
  );
  end();
  return seen;
}

/** The same for all targets of a probe. */
function timeoutMsOf({ targets }: Probe): number {
  return targets[0]?.policy.timeoutMs ?? 0;
}

function exitCode(seen: readonly Seen[]): number {
  const states = seen.map(({ observation }) => observation.state);
  if (states.includes("down")) return EXIT_DOWN;
  // Where nothing was looked at nothing is known.
  return states.includes("unknown") || states.length === 0 ? EXIT_UNKNOWN : 0;
}

function json(seen: readonly Seen[]): string {
  const list = seen.map(({ target: { kind, name, probe, policy }, observation }) => ({
    kind,
    name,
    probe,
    severity: policy.severity,
    ...observation,
  }));
  return `${printableJson(JSON.stringify(list, undefined, 2))}\n`;
}

function table(seen: readonly Seen[]): string {
  const head = ["STATE", "KIND", "NAME", "PROBE", "LATENCY", "REASON", "VALUES", "DETAIL"];
  const rows = seen.map(({ target: { kind, name, probe }, observation }) => {
    const { state, latencyMs, reason = "", values = {}, detail = "" } = observation;
    const latency = latencyMs === undefined ? "" : `${latencyMs} ms`;
    const numbers = Object.entries(values).map(([name, value]) => `${name}=${value}`);
    const words = detail.slice(0, MAX_DETAIL_LENGTH).toWellFormed();
    return [state, kind, name, probe, latency, reason, numbers.join(" "), words];
  });
  return tableText([head, ...rows]);
}
